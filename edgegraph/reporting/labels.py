"""Short names of layers, and where to write them beside points.

adjustText is no substitute: it leaves no name out where there is no room, so that the sixteen of
ResNet-50 cover dots, roofs and each other, and it takes over ten times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgegraph.base.shown import shown
from edgegraph.results.analysis import LayerRecord
from edgegraph.results.records import ALL_PHASES

MOST_CHARACTERS = 28


def short_names(rows: Iterable[LayerRecord]) -> dict[tuple[str, str], str]:
    """Return the shortest end of each layer's path that no other has, by layer and phase."""
    rows = list(rows)
    paths = {row.layer for row in rows}
    ends = Counter(end for path in paths for end in _ends(path))
    names: dict[tuple[str, str], str] = {}
    for row in rows:
        name = next((end for end in _ends(row.layer) if ends[end] == 1), row.layer)
        names[row.layer, row.phase] = shorten(name) + (
            "" if row.phase in ("forward", ALL_PHASES) else f" {row.phase}"
        )
    return names


def shorten(name: str, most: int = MOST_CHARACTERS) -> str:
    """Show a name, cut from the front; its end tells more."""
    name = shown(name)
    return name if len(name) <= most else "…" + name[1 - most :]


def _ends(path: str) -> list[str]:
    """Return the ends of a path, shortest first."""
    scopes = path.split("/")
    # "(own)" says nothing without the layer whose it is, unless there is only one.
    return ["/".join(scopes[-count:]) for count in range(1, len(scopes) + 1)]


CHARACTER_WIDTH = 0.6
"""Of the font size; the mean of DejaVu Sans, which is wide."""

_LINE_HEIGHT = 1.15
_GAP = 2.0
_TOLERATED = 0.06
"""Share of a label that may be covered before it is left out."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle in points (1/72 inch)."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Rectangle) -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    def distance(self, x: float, y: float) -> float:
        """Return the distance of a place from the rectangle; 0 inside."""
        across = max(self.left - x, 0.0, x - self.right)
        up = max(self.bottom - y, 0.0, y - self.top)
        return float((across * across + up * up) ** 0.5)

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)


@dataclass(frozen=True, slots=True)
class Point:
    """A point to name: its name, its centre and radius in points."""

    name: str
    x: float
    y: float
    radius: float


def text_rectangle(text: str, left: float, bottom: float, size: float) -> Rectangle:
    """Return the room that a line of text takes."""
    return Rectangle(
        left, bottom, left + CHARACTER_WIDTH * size * len(text), bottom + _LINE_HEIGHT * size
    )


def place_names(
    points: Sequence[Point],
    size: float,
    area: Rectangle,
    taken: Sequence[Rectangle] = (),
    lines: Sequence[Rectangle] = (),
) -> dict[int, tuple[float, float]]:
    """Place names beside their points, the first points first; sizes in points.

    Returns the lower left corner of every name that found room in `area`, by position. None covers
    what is `taken`, and rather not `lines`; a point without a name is only kept clear of.
    """
    marks = [
        Rectangle(p.x - p.radius, p.y - p.radius, p.x + p.radius, p.y + p.radius) for p in points
    ]
    solid = [*taken, *marks]
    placed: dict[int, tuple[float, float]] = {}
    for number, point in enumerate(points):
        if not point.name:
            continue
        best, least = None, float("inf")
        for rank, (left, bottom) in enumerate(_candidates(point, size)):
            spot = text_rectangle(point.name, left, bottom, size)
            covered = sum(spot.overlap(other) for other in solid) + spot.area - spot.overlap(area)
            own = spot.distance(point.x, point.y)
            # Nearer to another point, a name would be read as that one's.
            if any(spot.distance(p.x, p.y) <= own for p in points if p is not point):
                covered += 0.5 * _TOLERATED * spot.area
            cost = covered + sum(spot.overlap(line) for line in lines) + 0.2 * rank
            if covered <= _TOLERATED * spot.area and cost < least:
                best, least = spot, cost
        if best is not None:
            placed[number] = (best.left, best.bottom)
            solid.append(best)
    return placed


def _candidates(point: Point, size: float) -> Iterator[tuple[float, float]]:
    """Yield lower left corners around a point, the most readable first."""
    width = CHARACTER_WIDTH * size * len(point.name)
    height = _LINE_HEIGHT * size
    for further in (0.0, 5.0):
        away = point.radius + _GAP + further
        middle = point.y - height / 2
        yield point.x + away, middle
        yield point.x - away - width, middle
        for dx, dy in ((0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7)):
            left = point.x + dx * away if dx > 0 else point.x + dx * away - width
            bottom = point.y + dy * away if dy > 0 else point.y + dy * away - height
            yield left, bottom
        yield point.x - width / 2, point.y + away
        yield point.x - width / 2, point.y - away - height
