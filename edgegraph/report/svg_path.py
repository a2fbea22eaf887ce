"""Edges of the graph of layers in the language of an SVG path."""

from __future__ import annotations

from itertools import pairwise

from edgegraph.report.layer_layout import PlacedEdge

_CORNER = 7.0
"""Radius of a rounded corner in pixels."""

Point = tuple[float, float]


def edge_path(edge: PlacedEdge) -> str:
    """Give the way of an edge: curved within a lane, straight with round corners between lanes."""
    return _square(edge.points) if edge.square else _curved(edge.points)


def _curved(points: tuple[Point, ...]) -> str:
    """Curve between rows, and pass the rows in between straight down."""
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        if number % 2:
            path.append(f"V{to_y:.1f}")
        else:
            middle = (y + to_y) / 2
            path.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(path)


def _square(points: tuple[Point, ...]) -> str:
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _toward(corner, before), _toward(corner, after)
        path.append(
            f"L{enter[0]:.1f} {enter[1]:.1f}"
            f"Q{corner[0]:.1f} {corner[1]:.1f} {leave[0]:.1f} {leave[1]:.1f}"
        )
    path.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(path)


def _toward(corner: Point, other: Point) -> Point:
    """Give the point where a rounded corner begins, on the straight line to its neighbour."""
    across, down = other[0] - corner[0], other[1] - corner[1]
    length = abs(across) + abs(down)
    share = min(_CORNER, length / 2) / length if length else 0.0
    return corner[0] + share * across, corner[1] + share * down
