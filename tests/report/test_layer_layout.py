from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegraph.report.layer_graph import INPUTS, OUTPUTS, Box, LayerGraph, Tensor
from edgegraph.report.layer_layout import Drawing, PlacedBox, lay_out


def box(layer: str, phase: str = "forward", ops: int = 1) -> Box:
    return Box(
        title=layer, layer=layer, phase=phase, record=None, flops=1, bytes=1, bound=None, ops=ops
    )


def graph(boxes: list[Box], edges: set[tuple[int, int]]) -> LayerGraph:
    tensors = (Tensor(shape="f32[1]", bytes=4),)
    return LayerGraph(boxes=tuple(boxes), edges=dict.fromkeys(sorted(edges), tensors), depth=None)


@st.composite
def graphs(draw: st.DrawFn) -> LayerGraph:
    count = draw(st.integers(1, 25))
    phases = ["forward", "backward", "update"][: draw(st.integers(1, 3))]
    boxes = [box(f"l{n}", draw(st.sampled_from(phases))) for n in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.sets(st.sampled_from(pairs), max_size=3 * count)) if pairs else set()
    if draw(st.booleans()):
        boxes.append(box(OUTPUTS, ops=0))
        edges |= {(count - 1, count)}
    return graph(boxes, edges)


def overlap(one: PlacedBox, other: PlacedBox) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.bottom
        and other.y < one.bottom
    )


@given(graphs())
@settings(max_examples=200, deadline=None)
def test_boxes_stand_apart_and_edges_run_down(layers: LayerGraph) -> None:
    drawing = lay_out(layers)
    assert [placed.box for placed in drawing.boxes] == list(layers.boxes)
    assert not any(overlap(one, other) for one, other in combinations(drawing.boxes, 2))
    assert {(edge.source, edge.target) for edge in drawing.edges} == set(layers.edges)
    for edge in drawing.edges:
        upper, lower = drawing.boxes[edge.source], drawing.boxes[edge.target]
        (x, y), (to_x, to_y) = edge.points[0], edge.points[-1]
        assert y == upper.bottom and upper.x < x < upper.x + upper.width
        assert to_y == lower.y and lower.x < to_x < lower.x + lower.width
        assert all(one[1] <= other[1] for one, other in pairwise(edge.points))
    inside(drawing)


def inside(drawing: Drawing) -> None:
    for placed in drawing.boxes:
        assert placed.x >= 0 and placed.x + placed.width <= drawing.width
        assert placed.y >= 0 and placed.bottom <= drawing.height
    for edge in drawing.edges:
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in edge.points)


@given(graphs())
@settings(max_examples=200, deadline=None)
def test_no_edge_runs_under_a_box(layers: LayerGraph) -> None:
    """Between rows there are no boxes; where an edge passes a row, it must go beside them."""
    drawing = lay_out(layers)
    for edge in drawing.edges:
        for (x, y), (to_x, to_y) in pairwise(edge.points):
            crossed = [placed for placed in drawing.boxes if y < placed.bottom and placed.y < to_y]
            if crossed:
                assert x == to_x  # straight down
                assert not any(placed.x < x < placed.x + placed.width for placed in crossed)


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_the_same_graph_is_drawn_the_same(layers: LayerGraph) -> None:
    assert lay_out(layers) == lay_out(layers)


def test_a_chain_is_straight_and_labelled() -> None:
    layers = graph([box(INPUTS, ops=0), box("a"), box("b")], {(0, 1), (1, 2)})
    drawing = lay_out(layers)
    assert len({placed.x for placed in drawing.boxes}) == 1
    assert [placed.row for placed in drawing.boxes] == [0, 1, 2]
    assert all(x == edge.points[0][0] for edge in drawing.edges for x, _ in edge.points)
    assert [edge.label for edge in drawing.edges] == ["f32[1]", "f32[1]"]


def test_phases_stand_side_by_side_and_outputs_under_the_last() -> None:
    boxes = [box("f"), box("b", "backward"), box("u", "update"), box(OUTPUTS, ops=0)]
    drawing = lay_out(graph(boxes, {(0, 1), (0, 2), (1, 2), (2, 3)}))
    assert [lane.phase for lane in drawing.lanes] == ["forward", "backward", "update"]
    assert [placed.lane for placed in drawing.boxes] == [0, 1, 2, 2]
    lefts = [placed.x for placed in drawing.boxes]
    assert lefts[0] < lefts[1] < lefts[2]


def test_labels_that_would_cover_each_other_are_left_out() -> None:
    boxes = [box("a"), box("b"), box("c"), box("d")]
    drawing = lay_out(graph(boxes, {(0, 3), (1, 3), (2, 3)}))
    assert sum(bool(edge.label) for edge in drawing.edges) == 1
    assert all(edge.points[-1][0] < drawing.width for edge in drawing.edges)


def test_nothing_gives_an_empty_drawing() -> None:
    drawing = lay_out(graph([], set()))
    assert drawing.boxes == () and drawing.edges == ()
