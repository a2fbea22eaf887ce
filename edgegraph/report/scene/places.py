"""Sizes and places for all boxes, each group laid out by itself and scaled into its box."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgegraph.report.scene.hierarchy import Box
from edgegraph.report.scene.layout import Layout, Size, lay_out

OP: Size = (176, 40)
TITLE = 30
"""Height of the strip with a group's title, and of the air below it."""
PADDING = 10
_SMALLEST = 240
_ROOM: Size = (380, 230)
"""A group's contents are scaled down into so much room; looking closer makes them large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The outside and the inside of a box.

    Attributes:
        size: Width and height, in units of the group that it stands in.
        scale: Size of a unit of its inside, in units of its outside.
        left, top: Where the inside begins, from the box's corner, in units of its outside.
        sizes: Of its children.
        lines: Source and target of every line between them.
        layout: Of its children, or None where it has none.
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
    """A box with its place: its parent's layout says where, its own shape how large.

    Attributes:
        box: What stands here.
        parent: Position of the group it is drawn in; None for the outermost.
        number: Its position among the group's children.
        shape: Equal shapes are one object.
    """

    box: Box
    parent: int | None
    number: int
    shape: Shape


def lay_out_all(top: Box) -> list[Placed]:
    """Place a box and all that is in it, every box before its contents."""
    shapes = _Shapes()
    inside_out, waiting = [], [top]
    while waiting:
        box = waiting.pop()
        inside_out.append(box)
        waiting.extend(box.children)
    for box in reversed(inside_out):
        shapes.add(box)
    placed: list[Placed] = []
    stack: list[tuple[Box, int | None, int]] = [(top, None, 0)]
    while stack:
        box, parent, number = stack.pop()
        at = len(placed)
        shape = shapes.outermost(box) if parent is None else shapes.of(box)
        placed.append(Placed(box=box, parent=parent, number=number, shape=shape))
        stack.extend((child, at, n) for n, child in reversed([*enumerate(box.children)]))
    return placed


class _Shapes:
    """The shapes of boxes; groups that are alike, as repeated layers are, are laid out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[Size, ...], tuple[tuple[int, int], ...]], Shape] = {}
        self._of: dict[int, Shape] = {}
        self._op = Shape(size=OP)

    def add(self, box: Box) -> None:
        if not box.children:
            self._of[id(box)] = self._op
            return
        sizes = tuple(self._of[id(child)].size for child in box.children)
        key = (sizes, tuple((line.source, line.target) for line in box.lines))
        if key not in self._known:
            self._known[key] = _shape(*key)
        self._of[id(box)] = self._known[key]

    def of(self, box: Box) -> Shape:
        return self._of[id(box)]

    def outermost(self, box: Box) -> Shape:
        """Return the shape of the box that one looks into, at full size."""
        shape = self._of[id(box)]
        layout = shape.layout
        if layout is None:
            return shape
        width = max(layout.width, _SMALLEST) + 2 * PADDING
        return replace(
            shape,
            size=(width, layout.height + TITLE + PADDING),
            scale=1.0,
            left=(width - layout.width) / 2,
        )


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
