"""Names beside points, and names of layers as short as they can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgegraph.reporting.labels import (
    Point,
    Rectangle,
    place_names,
    short_names,
    shorten,
    text_rectangle,
)
from tests.reporting.conftest import MAKERS

AREA = Rectangle(0, 0, 200, 150)


places = st.floats(0, 200)


points = st.builds(Point, st.text("abc", max_size=12), places, places, st.floats(1, 6))


@given(st.lists(points, max_size=25))
def test_names_hardly_cover_each_other_or_a_point(found: list[Point]) -> None:
    placed = place_names(found, 7, AREA)
    spots = {n: text_rectangle(found[n].name, *corner, 7) for n, corner in placed.items()}
    for number, spot in spots.items():
        others = [other for at, other in spots.items() if at < number]
        marks = [
            Rectangle(p.x - p.radius, p.y - p.radius, p.x + p.radius, p.y + p.radius) for p in found
        ]
        assert sum(spot.overlap(other) for other in [*others, *marks]) <= 0.16 * spot.area


def test_a_lone_name_stands_right_of_its_point() -> None:
    assert place_names([Point("conv1", 50, 50, 3)], 10, AREA) == {0: (55, 50 - 11.5 / 2)}


def test_a_name_without_room_is_left_out() -> None:
    assert place_names([Point("conv1", 5, 5, 3)], 10, Rectangle(0, 0, 10, 10)) == {}


def test_names_are_as_short_as_they_can_be() -> None:
    names = short_names(MAKERS["phases"]().layer_records)
    assert names["SmallCNN/conv1", "forward"] == "conv1"
    assert names["SmallCNN/conv1", "backward"] == "conv1 backward"


def test_names_are_unique() -> None:
    for make in MAKERS.values():
        names = list(short_names(make().layer_records).values())
        assert len(names) == len(set(names))


def test_a_long_name_keeps_its_end() -> None:
    assert shorten("encoder/block_11/attention/query", 21) == "…k_11/attention/query"
