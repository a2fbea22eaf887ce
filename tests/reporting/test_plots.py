"""Layer times and memory, drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from edgegraph.errors import InputError
from edgegraph.reporting.figure import save_figure
from edgegraph.reporting.plots import draw_memory, layer_times, memory, steps
from edgegraph.results.kinds import KINDS
from edgegraph.results.schedule import LiveBuffer, LiveMemory
from tests import analyses
from tests.reporting.conftest import MAKERS


def texts(ax: Axes) -> set[str]:
    return {text.get_text() for text in ax.texts}


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def test_bars_are_as_long_as_the_times_and_brackets_run_from_max_to_sum() -> None:
    analysis = MAKERS["measured"]()
    leaves = [row for row in analysis.layer_records if row.leaf]
    ax = layer_times(analysis)
    assert ax.get_xlabel() == "time (ms), measured alone; % of its roof"
    widths = [bar.get_width() for bar in ax.patches]  # type: ignore[attr-defined]  # all are bars
    assert widths == pytest.approx([1.0] * len(leaves))
    brackets = {tuple(x for x, _ in points(line)) for line in ax.get_lines()}
    for row in leaves:
        compute, memory = 1e3 * (row.compute_time_s or 0), 1e3 * (row.memory_time_s or 0)
        if compute + memory:
            assert any(
                low == pytest.approx(max(compute, memory))
                and high == pytest.approx(compute + memory)
                for low, high in brackets
            )


def test_estimates_are_hollow_and_say_so() -> None:
    ax = layer_times(MAKERS["forward"]())
    assert "estimated" in ax.get_xlabel()
    assert all(to_rgba(bar.get_facecolor())[3] == 0 for bar in ax.patches)
    assert all(text.startswith("~") for text in texts(ax))


@pytest.mark.parametrize("name", KINDS["analysis"].figures)
def test_a_plot_takes_axes_and_gives_them_back(name: str) -> None:
    ax = Figure().subplots()
    assert MAKERS["phases"]().plot(name, ax) is ax


def test_markup_and_dollars_in_names_stay_text(tmp_path: Path) -> None:
    path = save_figure(layer_times(MAKERS["hostile"]()), tmp_path / "plot.svg")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
    assert "img" not in tags
    names = [label.get_text() for label in layer_times(MAKERS["hostile"]()).get_yticklabels()]
    assert any(name.endswith(analyses.HOSTILE[-10:]) for name in names)


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
    assert len(heights) == min(len(alive), 400) == len(edges) - 1
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


def test_long_schedules_are_drawn_in_400_steps() -> None:
    edges, heights = steps(range(1000))
    assert (len(heights), edges[1], heights[0], heights[-1]) == (400, 2.0, 1, 999)


@pytest.mark.parametrize(("hidden", "lowest"), [(199, 0.0), (201, 1.0)])
def test_what_comes_and_goes_is_drawn_alone_below_a_fifth(hidden: int, lowest: float) -> None:
    """Beside 1 kB that is held."""
    assert drawn(live(1000, hidden))[0][0] == lowest
