"""What must hold of every drawing."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegraph.reporting.scene.hierarchy import MOST_CHILDREN, Box, Item, nest
from edgegraph.reporting.scene.layout import lay_out, lay_out_all
from tests.reporting.scene.graphs import random_items

SEEDS = st.integers(min_value=0, max_value=2**32)


def boxes_of(top: Box) -> Iterator[Box]:
    waiting = [top]
    while waiting:
        box = waiting.pop()
        yield box
        waiting.extend(box.children)


def check_drawing(items: list[Item]) -> None:
    top = nest(items)
    boxes = [*boxes_of(top)]
    check_every_op_stands_once(items, boxes)
    check_lines(items, top)
    for placed in lay_out_all(top):
        shape = placed.shape
        assert (shape.layout is None) == (not placed.box.children)
        if shape.layout is None:
            continue
        layout = shape.layout
        width, height = shape.size
        # Rounding of the scale apart, the inside lies inside.
        assert shape.left >= 0
        assert shape.left + layout.width * shape.scale <= width + 1e-6
        assert shape.top + layout.height * shape.scale <= height + 1e-6
        places = [
            (x, y, x + w, y + h) for (x, y), (w, h) in zip(layout.boxes, shape.sizes, strict=True)
        ]
        assert min(x for x, *_ in places) >= 0
        assert max(right for *_, right, _ in places) <= layout.width
        assert max(bottom for *_, bottom in places) <= layout.height
        check_no_overlap(places)
        for source, target in shape.lines:
            assert places[source][3] < places[target][1]


def check_every_op_stands_once(items: list[Item], boxes: list[Box]) -> None:
    assert sorted(box.op for box in boxes if box.op is not None) == [*range(len(items))]
    assert all(len(box.children) <= MOST_CHILDREN for box in boxes)


def check_lines(items: list[Item], top: Box) -> None:
    """Every operand is drawn once, in the innermost group that holds both, and lines go on."""
    way: dict[int, list[tuple[Box, int]]] = {}
    waiting: list[tuple[Box, list[tuple[Box, int]]]] = [(top, [])]
    while waiting:
        box, above = waiting.pop()
        if box.op is not None:
            way[box.op] = above
        waiting.extend((child, [*above, (box, n)]) for n, child in enumerate(box.children))
        assert all(line.source < line.target for line in box.lines)
    wanted: dict[int, set[tuple[int, int]]] = {}
    for number, item in enumerate(items):
        for operand in item.operands:
            pairs = zip(way[operand], way[number], strict=False)
            box, source, target = next(
                (a, at, to) for (a, at), (b, to) in pairs if a is b and at != to
            )
            wanted.setdefault(id(box), set()).add((source, target))
    for box in boxes_of(top):
        assert {(line.source, line.target) for line in box.lines} == wanted.get(id(box), set())


def check_no_overlap(places: list[tuple[int, int, int, int]]) -> None:
    for number, (left, top, right, bottom) in enumerate(places):
        for other_left, other_top, other_right, other_bottom in places[:number]:
            assert (
                right <= other_left or other_right <= left
                or bottom <= other_top or other_bottom <= top
            )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(min_value=1, max_value=300))
def test_small_random_programs(seed: int, count: int) -> None:
    check_drawing(random_items(seed, count))


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_large_random_programs(seed: int) -> None:
    check_drawing(random_items(seed, 5000))


def test_a_row_is_broken_where_it_would_be_too_wide() -> None:
    # 400 boxes of 100 x 40 beside each other make a block, not a band of 50,000 units.
    layout = lay_out([(100, 40)] * 400, [])
    assert Fraction(layout.width, layout.height) < 8
    check_no_overlap([(x, y, x + 100, y + 40) for x, y in layout.boxes])


def test_a_line_passes_beside_the_boxes_in_its_way() -> None:
    # 0 -> 1 -> 2 -> 3 and 0 -> 3: the long line has a lane in the rows of 1 and 2.
    layout = lay_out([(100, 40)] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert layout.bends == (0, 0, 0, 2)
    for (x, top, bottom), box in zip(layout.lanes[0], (1, 2), strict=True):
        left, y = layout.boxes[box]
        assert (top, bottom) == (y, y + 40)
        assert x < left or x > left + 100


def test_a_chain_with_something_beside_every_link_does_not_drift() -> None:
    # Fifty residual blocks: n -> n + 1 -> n + 2, and past n + 1 from n to n + 2.
    links = [(n, n + 1) for n in range(100)] + [(n, n + 2) for n in range(0, 100, 2)]
    layout = lay_out([(100, 40)] * 101, links)
    lefts = [left for left, _ in layout.boxes]
    assert max(lefts) - min(lefts) <= 20


def test_a_title_stands_above_what_a_box_holds() -> None:
    items = [Item(name="x"), Item(name="a", path=("s",)), Item(name="b", path=("s",))]
    (scope,) = [placed for placed in lay_out_all(nest(items)) if placed.box.title == "s"]
    layout = scope.shape.layout
    assert layout is not None
    assert scope.shape.top == 30  # of the title; 10 are left below
    assert scope.shape.size[1] == 30 + layout.height * scope.shape.scale + 10
