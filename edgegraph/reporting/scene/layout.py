"""Places for all boxes: each group in rows, scaled into its box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from edgegraph.reporting.scene.hierarchy import Box

GAP = 24
"""Between boxes of a row, in units of the drawing; a letter is about 7 wide."""
ROW_GAP = 44
"""Between rows, for the lines and their shapes."""

_LANE = 6
"""Width that a line takes where it passes between boxes."""
_LONGEST_LANE = 60
"""Lines over more rows run straight, behind the boxes, for want of room beside them."""
_SWEEPS = 4
_MAIN_WEIGHT = 100.0
_LANE_WEIGHT = 4.0
"""How much more the main way down and long lines keep straight than what stands beside them."""
_WIDEST = 2.2
"""A row is broken into several when it is so much wider than the drawing would be as a square."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the boxes of a group stand, in units of the drawing.

    Attributes:
        boxes: Left and top of every box.
        lanes: By box that something far below reads from: for every row that its lines pass on the
            way down, where, and the row's top and bottom.
        bends: By line, how many of its source's lanes it runs through.
    """

    width: int
    height: int
    boxes: tuple[tuple[int, int], ...]
    lanes: Mapping[int, tuple[tuple[int, int, int], ...]]
    bends: tuple[int, ...]


def lay_out(sizes: Sequence[Size], lines: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes in topological order so that all lines run down and no two boxes overlap.

    Rows are the longest ways from the top; in a row, boxes stand in the order of what they read
    from and as near below it as they can.
    """
    if not sizes:
        return Layout(width=0, height=0, boxes=(), lanes={}, bends=())
    return _Drawing(sizes, lines).layout()


class _Drawing:
    """The boxes of a group, and on from them the lanes between, while they find their places."""

    def __init__(self, sizes: Sequence[Size], lines: Sequence[tuple[int, int]]) -> None:
        self.sizes = sizes
        self.lines = lines
        self.widths = [width for width, _ in sizes]
        self.after: list[list[int]] = [[] for _ in sizes]
        self.before: list[list[int]] = [[] for _ in sizes]
        for source, target in lines:
            self.after[source].append(target)
            self.before[target].append(source)
        self.rows = self._rows()
        self.weights = self._weights()
        self.row_of = [0] * len(sizes)
        for number, row in enumerate(self.rows):
            for box in row:
                self.row_of[box] = number
        self.chains = self._add_lanes()
        self.centres = [0.0] * len(self.widths)

    def layout(self) -> Layout:
        for sweep in range(_SWEEPS):
            down = sweep % 2 == 0
            # In a row, by the middle of what its boxes are joined with above, or below.
            for row in self.rows if down else reversed(self.rows):
                wanted = {box: self._wanted(box, down) for box in row}
                row.sort(key=wanted.__getitem__)
            self._place(down)
        self._place(down=True, both=True)
        lefts = [round(c - w / 2) for c, w in zip(self.centres, self.widths, strict=True)]
        first = min(lefts)
        width = max(left + w for left, w in zip(lefts, self.widths, strict=True)) - first
        tops, bottoms, top = [], [], 0
        for row in self.rows:
            height = max((self.sizes[box][1] for box in row if box < len(self.sizes)), default=0)
            tops.append(top)
            bottoms.append(top + height)
            top += height + ROW_GAP
        lanes = {
            source: tuple(
                (lefts[lane] - first + _LANE // 2, tops[row], bottoms[row])
                for row, lane in enumerate(chain, start=self.row_of[source] + 1)
            )
            for source, chain in self.chains.items()
        }
        boxes = tuple(
            (lefts[box] - first, tops[self.row_of[box]] + self._sink(box, tops, bottoms))
            for box in range(len(self.sizes))
        )
        return Layout(
            width=width,
            height=bottoms[-1],
            boxes=boxes,
            lanes=lanes,
            bends=tuple(
                min(self.row_of[target] - self.row_of[source] - 1, len(self.chains.get(source, ())))
                for source, target in self.lines
            ),
        )

    def _sink(self, box: int, tops: Sequence[int], bottoms: Sequence[int]) -> int:
        """Return how far below its row's top a box stands: what only gives stands at the foot."""
        row = self.row_of[box]
        free = bottoms[row] - tops[row] - self.sizes[box][1]
        return free if not self.before[box] and self.after[box] else free // 2

    def _rows(self) -> list[list[int]]:
        """Rank by the longest way; what reads nothing stands right above its first reader."""
        ranks = [0] * len(self.sizes)
        for box, sources in enumerate(self.before):
            ranks[box] = max((ranks[source] + 1 for source in sources), default=0)
        for box, sources in enumerate(self.before):
            if not sources and self.after[box]:
                ranks[box] = min(ranks[target] for target in self.after[box]) - 1
        ranked: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
        for box, rank in enumerate(ranks):
            ranked[rank].append(box)
        area = sum((width + GAP) * (height + ROW_GAP) for width, height in self.sizes)
        most = max(_WIDEST * math.sqrt(area), max(self.widths) + 1)
        return [part for row in ranked for part in self._broken(row, most)]

    def _weights(self) -> list[float]:
        """Weigh the boxes of a row from which the way to the end is longest most.

        A chain with something beside every link would drift to the side if all weighed the same.
        """
        left = [0] * len(self.sizes)
        for box in reversed(range(len(self.sizes))):
            left[box] = max((left[target] + 1 for target in self.after[box]), default=0)
        weights = [1.0] * len(self.sizes)
        for row in self.rows:
            most = max(left[box] for box in row)
            for box in row:
                if left[box] == most:
                    weights[box] = _MAIN_WEIGHT
        return weights

    def _broken(self, row: Sequence[int], most: float) -> list[list[int]]:
        """Break a row that is too wide into several of like width."""
        total = sum(self.widths[box] + GAP for box in row)
        limit = total / math.ceil(total / most)
        parts: list[list[int]] = [[]]
        width = 0.0
        for box in row:
            if parts[-1] and width + self.widths[box] > limit:
                parts.append([])
                width = 0.0
            parts[-1].append(box)
            width += self.widths[box] + GAP
        return parts

    def _add_lanes(self) -> dict[int, list[int]]:
        """Route the lines of a box that pass rows together, in one lane for each row."""
        chains: dict[int, list[int]] = {}
        for source in range(len(self.sizes)):
            row = self.row_of[source]
            targets = self.after[source]
            spans = [self.row_of[target] - row - 1 for target in targets]
            span = max((span for span in spans if span <= _LONGEST_LANE), default=0)
            if span <= 0:
                continue
            chain = list(range(len(self.widths), len(self.widths) + span))
            chains[source] = chain
            self.widths.extend([_LANE] * span)
            self.weights.extend([_LANE_WEIGHT] * span)
            for lane, passed in zip(chain, range(row + 1, row + 1 + span), strict=True):
                self.rows[passed].append(lane)
            # From here on neighbours are those in the rows next to a box.
            self.before.extend([source if number == 0 else chain[number - 1]]
                               for number in range(span))  # fmt: skip
            self.after.extend([chain[number + 1]] if number + 1 < span else []
                              for number in range(span))  # fmt: skip
            self.after[source] = [chain[0]]
            for target, passed in zip(targets, spans, strict=True):
                if passed <= 0 or passed > span:
                    self.after[source].append(target)
                else:
                    self.after[chain[passed - 1]].append(target)
                    self.before[target].remove(source)
                    self.before[target].append(chain[passed - 1])
        return chains

    def _wanted(
        self, box: int, down: bool, both: bool = False, weights: Sequence[float] | None = None
    ) -> float:
        near = self.before[box] if down else self.after[box]
        if both:
            near = near + (self.after[box] if down else self.before[box])
        if not near:
            near = self.after[box] if down else self.before[box]
        if not near:
            return self.centres[box]
        if weights is None:
            return sum(self.centres[other] for other in near) / len(near)
        # The main way stays straight below itself, whatever else is read on it.
        total = sum(weights[other] for other in near)
        return sum(weights[other] * self.centres[other] for other in near) / total

    def _place(self, down: bool, both: bool = False) -> None:
        for row in self.rows if down else reversed(self.rows):
            wanted = [self._wanted(box, down, both, self.weights) for box in row]
            for box, centre in zip(row, self._nearest_without_overlap(row, wanted), strict=True):
                self.centres[box] = centre

    def _nearest_without_overlap(self, row: Sequence[int], wanted: Sequence[float]) -> list[float]:
        """Return centres nearest to the wanted ones, in order and without overlap.

        Boxes that push each other move as one block, to the weighed mean of what its members want.
        """
        offsets, offset = [], 0.0
        for number, box in enumerate(row):
            if number:
                last = row[number - 1]
                gap = GAP if box < len(self.sizes) or last < len(self.sizes) else _LANE
                offset += (self.widths[last] + self.widths[box]) / 2 + gap
            offsets.append(offset)
        blocks: list[tuple[float, float, int]] = []
        for box, want, offset in zip(row, wanted, offsets, strict=True):
            weight = self.weights[box]
            total, count = weight * (want - offset), 1
            while blocks and blocks[-1][0] / blocks[-1][1] >= total / weight:
                pushed = blocks.pop()
                total, weight, count = total + pushed[0], weight + pushed[1], count + pushed[2]
            blocks.append((total, weight, count))
        shifts = [total / weight for total, weight, count in blocks for _ in range(count)]
        return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]


OP: Size = (176, 40)
TITLE = 30
"""Height of the strip with a group's title, and of the air below it."""
PADDING = 10
_SMALLEST = 240
_ROOM: Size = (380, 230)
"""A group's contents are scaled down into so much room; looking closer makes them large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The outside and the inside of a box; sizes outside are in units of its group.

    Attributes:
        scale: Size of a unit of its inside, in units of its outside.
        left, top: Where the inside begins, from the box's corner, in units of its outside.
        sizes: Of its children.
        lines: Source and target of every line between them.
    """

    size: Size
    scale: float = 1.0
    left: float = 0.0
    top: float = 0.0
    sizes: tuple[Size, ...] = ()
    lines: tuple[tuple[int, int], ...] = ()
    layout: Layout | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A box, its place among the children of its parent, and its shape; equal ones are one."""

    box: Box
    parent: int | None
    number: int
    shape: Shape


def lay_out_all(top: Box) -> list[Placed]:
    """Place a box and all that is in it, every box before its contents."""
    inside_out, waiting = [], [top]
    while waiting:
        box = waiting.pop()
        inside_out.append(box)
        waiting.extend(box.children)
    shapes: dict[int, Shape] = {}
    # Groups that are alike, as repeated layers are, are laid out once.
    laid_out, op = cache(_shape), Shape(size=OP)
    for box in reversed(inside_out):
        sizes = tuple(shapes[id(child)].size for child in box.children)
        lines = tuple((line.source, line.target) for line in box.lines)
        shapes[id(box)] = laid_out(sizes, lines) if sizes else op
    placed: list[Placed] = []
    stack: list[tuple[Box, int | None, int]] = [(top, None, 0)]
    while stack:
        box, parent, number = stack.pop()
        at = len(placed)
        shape = _outermost(shapes[id(box)]) if parent is None else shapes[id(box)]
        placed.append(Placed(box=box, parent=parent, number=number, shape=shape))
        stack.extend((child, at, n) for n, child in reversed([*enumerate(box.children)]))
    return placed


def _outermost(shape: Shape) -> Shape:
    """Return the shape of the box that one looks into, at full size."""
    layout = shape.layout
    if layout is None:
        return shape
    width = max(layout.width, _SMALLEST) + 2 * PADDING
    size, left = (width, layout.height + TITLE + PADDING), (width - layout.width) / 2
    return replace(shape, size=size, scale=1.0, left=left)


def _shape(sizes: tuple[Size, ...], lines: tuple[tuple[int, int], ...]) -> Shape:
    layout = lay_out(sizes, lines)
    scale = min(1.0, _ROOM[0] / layout.width, _ROOM[1] / layout.height)
    inner, deep = layout.width * scale, layout.height * scale
    width = max(_SMALLEST, math.ceil(inner) + 2 * PADDING)
    return Shape(
        size=(width, math.ceil(deep) + TITLE + PADDING),
        scale=scale,
        left=(width - inner) / 2,
        top=float(TITLE),
        sizes=sizes,
        lines=lines,
        layout=layout,
    )
