from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from edgegraph.errors import InputError
from edgegraph.reporting.plots import MOST_STEPS, draw_memory, memory, steps
from edgegraph.results.memory import LiveBuffer, LiveMemory
from tests.reporting.conftest import MAKERS


def live(weights: int, hidden: int) -> LiveMemory:
    """Return three ops: the weights are there all the time, the hidden part during the second."""
    return LiveMemory(
        ops=("x", "hidden", "out"),
        alive_bytes=(weights, weights + hidden, weights + hidden // 2),
        peak_position=1,
        peak_op="hidden",
        peak_layer="Net/dense",
        peak_buffers=(
            LiveBuffer(name="w", layer="Net/dense", bytes=weights, kind="weights"),
            LiveBuffer(name="hidden", layer="Net/dense", bytes=hidden, kind="activation"),
        ),
        temp_bytes=hidden,
        output_bytes=8,
    )


def drawn(memory: LiveMemory) -> tuple[list[float], str, list[str], list[str]]:
    """Return the heights of the steps, the label of their axis, the legend and the texts."""
    ax = Figure().subplots()
    draw_memory(ax, memory, 7.0)
    outline = [patch for patch in ax.patches if isinstance(patch, StepPatch)][-1]
    legend = ax.get_legend()
    assert legend is not None
    return (
        np.asarray(outline.get_data()[0]).tolist(),
        ax.get_ylabel(),
        [text.get_text() for text in legend.get_texts()],
        [text.get_text() for text in ax.texts],
    )


def test_bands_stand_on_each_other_and_the_peak_is_marked() -> None:
    heights, label, legend, texts = drawn(live(2_000_000, 4_000_000))
    assert heights == [2.0, 6.0, 4.0]
    assert label == "alive (MB)"
    assert legend == ["activations 4 MB", "weights 2 MB"]
    assert texts == ["peak 6 MB, Net/dense"]


def test_what_would_vanish_beside_the_weights_is_drawn_alone() -> None:
    heights, label, legend, texts = drawn(live(2_000_000, 4_000))
    assert heights == [0.0, 4.0, 2.0]
    assert label == "alive on top (kB)"
    assert legend == ["activations 4 kB", "on top of weights 2 MB"]
    assert texts == ["peak 2 MB in all, Net/dense"]


def test_weights_alone() -> None:
    heights, _, legend, _ = drawn(live(2_000, 0))
    assert heights == [2.0, 2.0, 2.0]
    assert legend == ["weights 2 kB"]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=2000))
def test_long_schedules_are_drawn_by_the_most_of_each_stretch(alive: list[int]) -> None:
    edges, heights = steps(alive)
    assert len(heights) == min(len(alive), MOST_STEPS) == len(edges) - 1
    assert (edges[0], edges[-1]) == (0, len(alive))
    assert max(heights) == max(alive)
    where = alive.index(max(alive))
    assert any(
        low <= where < high and height == max(alive)
        for low, high, height in zip(edges, edges[1:], heights, strict=False)
    )


def test_what_is_not_scheduled_cannot_be_drawn() -> None:
    unscheduled = replace(MAKERS["forward"](), live_memory=None)
    with pytest.raises(InputError, match="stage 'optimized'"):
        memory(unscheduled)
