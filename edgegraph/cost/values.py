"""The arrays that a scheduled program makes, and the memory that they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from edgegraph.graph import Node
from edgegraph.hlo.module import Shape

Leaves = tuple[int, ...]
"""Numbers of the values that make up a result, in the order of the shape's leaves."""


class Value(Struct, kw_only=True, gc=False):
    """One array.

    Attributes:
        node: The op that makes it, or the parameter or container where it enters or leaves a loop
            or a branch.
        shape: Its shape.
        storage: Number of the memory that it lies in.
        start: When it is made.
        end: When it is last used.
        from_input: Whether it depends on an input of the program: neither on parameters and
            state of a model alone, nor a constant.
    """

    node: Node
    shape: Shape
    storage: int
    start: int
    end: int
    from_input: bool

    @property
    def bytes(self) -> int:
        """Bytes in the device's main memory; what lies in another memory space takes none."""
        return 0 if self.shape.memory_space else self.shape.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """All values of a program.

    Attributes:
        all: The values; the position is a value's number.
        nodes: The ops outside fusions; the position is the time at which they run.
        leaves: The values that make up each op's result, by its name.
        shapes: The shape of each op's result, by its name.
        arguments: Values that the program is called with.
        constants: Values that stand in the program.
        outputs: Values that it gives back.
    """

    all: Sequence[Value]
    nodes: Sequence[Node]
    leaves: Mapping[str, Leaves]
    shapes: Mapping[str, Shape]
    arguments: Leaves
    constants: Leaves
    outputs: Leaves

    def by_storage(self) -> Mapping[int, list[int]]:
        """Return the values that lie in each memory, in the order in which they are made."""
        together: dict[int, list[int]] = {}
        for number, value in enumerate(self.all):
            together.setdefault(value.storage, []).append(number)
        return together

    def storages(self, leaves: Leaves) -> frozenset[int]:
        """Return the memory that some values lie in."""
        return frozenset([self.all[number].storage for number in leaves])


class TupleParts:
    """Remembers where the parts of a tuple's shape begin among its leaves."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Shape, tuple[Shape, ...], tuple[int, ...]]] = {}

    def leaves(self, shape: Shape) -> tuple[Shape, ...]:
        """Return the leaves of a shape."""
        return self._look_up(shape)[1]

    def part(self, shape: Shape, index: Sequence[int]) -> range:
        """Return the positions of the leaves of a part of a shape.

        Example:
            >>> f32 = Shape(dtype="f32")
            >>> pair = Shape(dtype="tuple", elements=(f32, f32))
            >>> TupleParts().part(Shape(dtype="tuple", elements=(pair, f32)), (1,))
            range(2, 3)
        """
        first = 0
        for step in index:
            first += self._look_up(shape)[2][step]
            shape = shape.elements[step]
        return range(first, first + len(self.leaves(shape)))

    def _look_up(self, shape: Shape) -> tuple[Shape, tuple[Shape, ...], tuple[int, ...]]:
        known = self._known.get(id(shape))
        if known is None:
            starts = [0]
            for element in shape.elements:
                starts.append(starts[-1] + len(self.leaves(element)))
            # The shape itself is kept with its id, so that the id cannot be given away.
            known = self._known[id(shape)] = (shape, shape.leaves(), tuple(starts))
        return known
