"""The graph of layers: boxes and arrows as the networks are written."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import edgegraph as eg
from edgegraph.reporting.figure import figure_of
from edgegraph.reporting.graph_plot import LayerGraph, bundled, layer_graph
from tests import analyses
from tests.reporting.conftest import MAKERS


def names(ax: Axes) -> list[str]:
    """Return the first word of every box."""
    return [text.get_text().split()[0] for text in ax.texts]


def arrows(ax: Axes) -> set[tuple[str, str]]:
    """Return every arrow by the boxes whose foot and head it touches."""
    boxes = [box for box in ax.patches if isinstance(box, FancyBboxPatch)]
    found = set()
    for arrow in ax.patches:
        if isinstance(arrow, FancyArrowPatch):
            way = arrow._path_original.vertices  # type: ignore[attr-defined]  # no public way
            ends = [
                next(
                    name
                    for name, box in zip(names(ax), boxes, strict=True)
                    if box.get_x() <= x <= box.get_x() + box.get_width()
                    and box.get_y() - 1 <= y <= box.get_y() + box.get_height() + 1
                )
                for x, y in (way[0], way[-1])
            ]
            found.add((ends[0], ends[1]))
    return found


def block(depth: int) -> eg.Analysis:
    """Analyse layers that each add to what they read, as residual networks do."""

    def run(x: jax.Array) -> jax.Array:
        with jax.named_scope("net"):
            for number in range(depth):
                with jax.named_scope(f"layer_{number}"):
                    y = jnp.tanh(x @ x)
                x = x + y
        return x

    return eg.analyze(run, args=(jnp.ones((8, 8)),), name="residual", device=analyses.DEVICE)


def test_a_chain_is_drawn_as_a_chain() -> None:
    # SmallCNN: conv1, conv2, dense1, dense2, one behind the other.
    ax = layer_graph(MAKERS["measured"]())
    chain = ["conv1", "conv2", "dense1", "dense2"]
    assert names(ax) == chain
    assert arrows(ax) == set(pairwise(chain))


def test_all_arrows_run_down_in_a_residual_network() -> None:
    ax = layer_graph(block(3))
    tops = {
        name: box.get_y()
        for name, box in zip(names(ax), ax.patches[-len(ax.texts) :], strict=True)
        if isinstance(box, FancyBboxPatch)
    }
    assert {"layer_0", "layer_1", "layer_2"} <= set(tops)
    assert all(tops[source] < tops[target] for source, target in arrows(ax))


def test_many_layers_share_boxes_until_they_fit() -> None:
    ax = layer_graph(block(80))
    assert figure_of(ax).get_size_inches()[1] <= 9.6
    assert 2 < len(names(ax)) < 80
    assert any("…" in text.get_text() for text in ax.texts)


def test_it_fits_given_axes() -> None:
    ax = layer_graph(block(20), Figure(figsize=(2, 2)).subplots())
    assert len(names(ax)) < 20
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for box in ax.patches:
        if isinstance(box, FancyBboxPatch):
            assert left <= box.get_x()
            assert box.get_x() + box.get_width() <= right
            assert top <= box.get_y()
            assert box.get_y() + box.get_height() <= bottom


@given(st.data())
def test_neighbours_are_put_together_without_a_cycle(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 40))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    lines = {(a, b) for a, b in data.draw(st.lists(pairs)) if a < b}
    graph = LayerGraph(
        names=tuple(map(str, range(count))), rows=(None,) * count, lines=tuple(sorted(lines))
    )
    boxes = data.draw(st.integers(1, count))
    found = bundled(graph, boxes)
    assert len(found.names) == boxes
    assert all(0 <= source < target < boxes for source, target in found.lines)


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_phases_are_told_apart(phase: str) -> None:
    said = [text.get_text() for text in layer_graph(MAKERS["phases"]()).texts]
    assert any(text.startswith("conv2  " if phase == "forward" else "conv2 back") for text in said)
