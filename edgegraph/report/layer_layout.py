"""Positions for the graph of layers: rows from top to bottom, one lane per phase.

Every edge runs downwards. Within a lane it passes other rows through a slot of its own, so
that it never lies under a box; between lanes it runs down the gutter in front of its target's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgegraph.report.layer_graph import Box, LayerGraph, Tensor

BOX_WIDTH = 214.0
BOX_HEIGHT = 42.0
ROW_GAP = 34.0
COLUMN_GAP = 22.0
_SLOT_WIDTH = 10.0
_TRACK = 9.0
_WIDEST_GUTTER = 220.0
_GUTTER_MARGIN = 26.0
_LANE_HEADING = 24.0
_LEAVING = 8.0
_ARRIVING = 24.0
"""How far below its source and above its target an edge between lanes turns."""

_MARGIN = 8.0
_CHARACTER = 6.1
_LABEL_START = 8.0
_SIZE_CHARACTERS = 9
"""A label in pixels: a character's width, where it starts beside its edge, and what else is
written behind the shape, the bytes."""

_SWEEPS = 6
_PHASES = ("forward", "backward", "update")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBox:
    """A box with its upper left corner, in pixels."""

    box: Box
    x: float
    y: float
    row: int
    lane: int
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedEdge:
    """An edge from the bottom of one box to the top of another.

    Attributes:
        source, target: Positions in the drawing's boxes.
        points: The way it takes, top to bottom.
        square: True if it runs in straight lines with corners, between lanes.
        tensors: What runs along it, largest first.
        label: Shape of the largest tensor, to stand right of the edge's end; "" where there is
            no room for it and the bytes.
    """

    source: int
    target: int
    points: tuple[Point, ...]
    square: bool
    tensors: tuple[Tensor, ...]
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The part of the drawing that holds one phase."""

    phase: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A layer graph with positions; `depth` as in the graph."""

    boxes: tuple[PlacedBox, ...]
    edges: tuple[PlacedEdge, ...]
    lanes: tuple[Lane, ...]
    width: float
    height: float
    depth: int | None


@dataclass(slots=True)
class _Item:
    """A box, or the slot through which an edge passes a row."""

    row: int
    width: float
    x: float = 0.0
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()


def lay_out(graph: LayerGraph) -> Drawing:
    """Give every box and edge its place.

    Args:
        graph: Boxes in topological order; every edge runs from an earlier to a later one.

    Returns:
        A drawing in which no two boxes overlap and every edge runs downwards.
    """
    rows = _rows(graph)
    lane_of, phases = _lanes(graph)
    items = [_Item(row, BOX_WIDTH) for row in rows]
    ways = {
        edge: _slots(items, edge) for edge in graph.edges if lane_of[edge[0]] == lane_of[edge[1]]
    }
    lane_of_item = list(lane_of)
    for (_, target), way in ways.items():
        lane_of_item += [lane_of[target]] * (len(way) - 2)
    _link(items, ways.values())
    lanes, tracks, right = _place_lanes(graph, items, lane_of, lane_of_item, phases, rows)
    top = _MARGIN + (_LANE_HEADING if len(phases) > 1 else 0.0)
    boxes = tuple(
        PlacedBox(
            box=box,
            x=items[number].x - BOX_WIDTH / 2,
            y=top + rows[number] * (BOX_HEIGHT + ROW_GAP),
            row=rows[number],
            lane=lane_of[number],
        )
        for number, box in enumerate(graph.boxes)
    )
    edges = _edges(graph, boxes, items, ways, tracks, top)
    written = (edge.points[-1][0] + _label_width(edge.label) for edge in edges if edge.label)
    return Drawing(
        boxes=boxes,
        edges=edges,
        lanes=lanes,
        width=max(right, *written, 0.0),
        height=max((box.bottom for box in boxes), default=top) + _MARGIN,
        depth=graph.depth,
    )


def _rows(graph: LayerGraph) -> list[int]:
    """Give every box the first row below all that it reads from."""
    rows = [0] * len(graph.boxes)
    for source, target in sorted(graph.edges, key=lambda edge: edge[1]):
        rows[target] = max(rows[target], rows[source] + 1)
    return rows


def _lanes(graph: LayerGraph) -> tuple[list[int], list[str]]:
    """Give every box the lane of its phase; outputs stand under the last that gives some."""
    present = {box.phase for box in graph.boxes if not box.is_end}
    known = [phase for phase in _PHASES if phase in present]
    phases = known + sorted(present - set(known)) or ["forward"]
    lane_of = [phases.index(box.phase) if box.phase in phases else 0 for box in graph.boxes]
    for number, box in enumerate(graph.boxes):
        if box.is_end:
            before = [lane_of[source] for source, target in graph.edges if target == number]
            lane_of[number] = max(before, default=0)
    return lane_of, phases


def _slots(items: list[_Item], edge: tuple[int, int]) -> list[int]:
    """Make a slot in every row that an edge passes; give its way as items."""
    source, target = edge
    way = [source]
    for row in range(items[source].row + 1, items[target].row):
        way.append(len(items))
        items.append(_Item(row, _SLOT_WIDTH))
    return [*way, target]


def _link(items: list[_Item], ways: Iterable[Sequence[int]]) -> None:
    above: dict[int, list[int]] = defaultdict(list)
    below: dict[int, list[int]] = defaultdict(list)
    for way in ways:
        for upper, lower in pairwise(way):
            below[upper].append(lower)
            above[lower].append(upper)
    for number, item in enumerate(items):
        item.above, item.below = tuple(above[number]), tuple(below[number])


def _place_lanes(
    graph: LayerGraph,
    items: list[_Item],
    lane_of: Sequence[int],
    lane_of_item: Sequence[int],
    phases: Sequence[str],
    rows: Sequence[int],
) -> tuple[tuple[Lane, ...], Mapping[tuple[int, int], float], float]:
    """Place every lane right of the one before, with a gutter for the edges that come in."""
    lanes: list[Lane] = []
    tracks: dict[tuple[int, int], float] = {}
    right = _MARGIN
    for lane, phase in enumerate(phases):
        members = [number for number, of in enumerate(lane_of_item) if of == lane]
        incoming = [
            edge for edge in graph.edges if lane_of[edge[1]] == lane and lane_of[edge[0]] != lane
        ]
        # Nested as the two passes are: who leaves last arrives first, on the outermost track.
        incoming.sort(key=lambda edge: (rows[edge[0]], -rows[edge[1]], edge))
        if incoming:
            step = min(_TRACK, _WIDEST_GUTTER / len(incoming))
            for place, edge in enumerate(incoming):
                tracks[edge] = right + _GUTTER_MARGIN + place * step
            right += 2 * _GUTTER_MARGIN + (len(incoming) - 1) * step
        elif lane:
            right += _GUTTER_MARGIN
        left, width = _place(items, members)
        for number in members:
            items[number].x += right - left
        lanes.append(Lane(phase=phase, x=right, width=width))
        right += width
    return tuple(lanes), tracks, right + _MARGIN


def _place(items: list[_Item], members: Sequence[int]) -> tuple[float, float]:
    """Order the items of a lane in their rows and place them; give the left end and the width."""
    if not members:
        return 0.0, BOX_WIDTH
    by_row: dict[int, list[int]] = defaultdict(list)
    for number in members:
        by_row[items[number].row].append(number)
    order = sorted(by_row)
    for number in members:
        items[number].x = 0.0
    for row in order:
        _spread(items, by_row[row])
    for _ in range(_SWEEPS):
        for row in order:
            _sort(items, by_row[row], upwards=False)
        for row in reversed(order):
            _sort(items, by_row[row], upwards=True)
    for _ in range(_SWEEPS):
        for row in reversed(order):
            _settle(items, by_row[row], upwards=True)
        for row in order:
            _settle(items, by_row[row], upwards=False)
    left = min(items[number].x - items[number].width / 2 for number in members)
    right = max(items[number].x + items[number].width / 2 for number in members)
    return left, right - left


def _spread(items: Sequence[_Item], row: Sequence[int]) -> None:
    """Place a row side by side around 0, in the order at hand."""
    at = 0.0
    for before, number in zip([None, *row], row, strict=False):
        if before is not None:
            at += _apart(items[before], items[number])
        items[number].x = at
    for number in row:
        items[number].x -= at / 2


def _sort(items: Sequence[_Item], row: list[int], *, upwards: bool) -> None:
    """Order a row by where the neighbours of its items stand (barycentre heuristic)."""
    row.sort(key=lambda number: (_wish(items, number, upwards), number))
    _spread(items, row)


def _wish(items: Sequence[_Item], number: int, upwards: bool, *, straight: bool = False) -> float:
    """Give the mean x of an item's neighbours; if `straight`, a box looks at boxes first."""
    item = items[number]
    near = item.below if upwards else item.above
    if straight and item.width != _SLOT_WIDTH:
        near = tuple(other for other in near if items[other].width != _SLOT_WIDTH) or near
    if not near:
        return item.x
    return sum(items[other].x for other in near) / len(near)


def _settle(items: Sequence[_Item], row: Sequence[int], *, upwards: bool) -> None:
    """Move a row's items as near to their neighbours as their order and widths allow.

    The least squares solution under a minimum distance: isotonic regression of the wishes
    less the distances, by pooling adjacent violators.
    """
    offsets: list[float] = []
    blocks: list[list[float]] = []  # sum of weighted wishes, weight, number of items
    for place, number in enumerate(row):
        before = offsets[-1] + _apart(items[row[place - 1]], items[number]) if place else 0.0
        offsets.append(before)
        # A chain of boxes stays straight, and the edges that pass it give way.
        weight = 1.0 if items[number].width == _SLOT_WIDTH else 100.0
        wish = _wish(items, number, upwards, straight=True)
        blocks.append([weight * (wish - before), weight, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [mine + its for mine, its in zip(blocks[-1], last, strict=True)]
    places = [total / weight for total, weight, count in blocks for _ in range(int(count))]
    for number, place_x, offset in zip(row, places, offsets, strict=True):
        items[number].x = place_x + offset


def _apart(left: _Item, right: _Item) -> float:
    """Give the least distance between the centres of two neighbours in a row."""
    slots = left.width == right.width == _SLOT_WIDTH
    return (left.width + right.width) / 2 + (4.0 if slots else COLUMN_GAP)


def _edges(
    graph: LayerGraph,
    boxes: Sequence[PlacedBox],
    items: Sequence[_Item],
    ways: Mapping[tuple[int, int], Sequence[int]],
    tracks: Mapping[tuple[int, int], float],
    top: float,
) -> tuple[PlacedEdge, ...]:
    """Route every edge; those that enter a box share its upper side."""
    incoming: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for edge in graph.edges:
        incoming[edge[1]].append(edge)
    placed: list[PlacedEdge] = []
    for target, edges in sorted(incoming.items()):
        edges.sort(key=lambda e: (tracks.get(e, items[ways[e][-2]].x if e in ways else 0.0), e))
        step = BOX_WIDTH / (len(edges) + 1)
        for place, edge in enumerate(edges, start=1):
            end = (boxes[target].x + place * step, boxes[target].y)
            tensors = tuple(graph.edges[edge])
            label = tensors[0].shape + (f" +{len(tensors) - 1}" if len(tensors) > 1 else "")
            room = step if place < len(edges) else _free_until(boxes, target) - end[0]
            placed.append(
                PlacedEdge(
                    source=edge[0],
                    target=target,
                    points=_way(edge, boxes, items, ways, tracks, end, top),
                    square=edge in tracks,
                    tensors=tensors,
                    label=label if _label_width(label) <= room else "",
                )
            )
    return tuple(placed)


def _way(
    edge: tuple[int, int],
    boxes: Sequence[PlacedBox],
    items: Sequence[_Item],
    ways: Mapping[tuple[int, int], Sequence[int]],
    tracks: Mapping[tuple[int, int], float],
    end: Point,
    top: float,
) -> tuple[Point, ...]:
    upper = boxes[edge[0]]
    start = (upper.x + BOX_WIDTH / 2, upper.bottom)
    if edge in tracks:
        leaving, arriving = start[1] + _LEAVING, end[1] - _ARRIVING
        turns = [
            (start[0], leaving), (tracks[edge], leaving), (tracks[edge], arriving),
            (end[0], arriving),
        ]  # fmt: skip
    else:
        turns = []
        for slot in ways[edge][1:-1]:
            y = top + items[slot].row * (BOX_HEIGHT + ROW_GAP)
            turns += [(items[slot].x, y), (items[slot].x, y + BOX_HEIGHT)]
    return (start, *turns, end)


def _free_until(boxes: Sequence[PlacedBox], number: int) -> float:
    """Give the x at which a box's right neighbour begins; a label may cross a thin line."""
    box = boxes[number]
    edges = (other.x for other in boxes if other.row == box.row and other.x > box.x)
    return min(edges, default=math.inf)


def _label_width(label: str) -> float:
    return _LABEL_START + _CHARACTER * (len(label) + _SIZE_CHARACTERS)
