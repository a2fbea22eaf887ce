"""The arrays that a scheduled program makes, and whose memory they may reuse.

An op that *must* was given an operand that it may destroy: XLA has copied it before wherever the
old contents are still needed. An op that *may* takes the memory of an operand that dies with it.

Source: openxla/xla, ``HloDataflowAnalysis::GetInPlaceInputOutputPairs`` and
``CanShareOperandBufferWithUser``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Alias, Instruction, Module, Shape

Leaves = tuple[int, ...]
"""Numbers of the values that make up a result, in the order of the shape's leaves."""


class Value(Struct, kw_only=True, gc=False):
    """One array, in memory numbered `storage` from `start` to `end`; a node makes or passes it.

    It is `from_input` where it depends on more than parameters and state of a model and constants.
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
    """All values of a program, numbered by position in `all`.

    The position of an op (outside fusions) in `nodes` is the time at which it runs. By its name,
    `leaves` are the values that make up its result, and `shapes` the shape.
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
        """Return the positions of the leaves of a part of a shape."""
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


def written_over(module: Module, instruction: Instruction) -> tuple[Alias, ...]:
    """Name the operands that an op must write its result over."""
    if instruction.output_aliases:
        return instruction.output_aliases
    if instruction.opcode == "fusion":
        return _fusion_written_over(module, instruction)
    return _changed_arrays(instruction)


def may_share(module: Module, user: Instruction, operand: int, shape: Shape, result: Shape) -> bool:
    """Return whether an op may write a result of shape `result` over a dying operand of `shape`."""
    alike = (shape.dtype, shape.dimensions, shape.layout) == (
        result.dtype, result.dimensions, result.layout
    )  # fmt: skip
    if not alike or user.opcode == "copy":
        return False
    if user.opcode == "fusion":
        return _fused_elementwise_on(module, user, operand)
    return _elementwise_on(user, operand)


def _fusion_written_over(module: Module, fusion: Instruction) -> tuple[Alias, ...]:
    fused = module.computations[fusion.called[0]]
    if opcodes.WRITES_OVER.isdisjoint([each.opcode for each in fused.instructions]):
        return ()
    by_name = {instruction.name: instruction for instruction in fused.instructions}
    root = by_name[fused.root]
    sources: dict[tuple[int, ...], Instruction] = {(): root}
    if root.opcode == "tuple":
        sources = {(place,): by_name[name] for place, name in enumerate(root.operands)}
    found = []
    for index, source in sources.items():
        for pair in _changed_arrays(source):
            number = by_name[source.operands[pair.operand]].parameter_number
            if number is not None and not pair.output_index:
                found.append(Alias(output_index=index, operand=number))
    return tuple(found)


def _fused_elementwise_on(module: Module, fusion: Instruction, operand: int) -> bool:
    """Return whether a fusion reads each element of an operand only where it writes it."""
    followed: set[str] = set()
    for instruction in module.computations[fusion.called[0]].instructions:
        if instruction.parameter_number == operand:
            followed.add(instruction.name)
        elif not followed.isdisjoint(instruction.operands):
            if instruction.opcode != "tuple":
                for position, name in enumerate(instruction.operands):
                    if name in followed and not _elementwise_on(instruction, position):
                        return False
            followed.add(instruction.name)
    return True


def _elementwise_on(user: Instruction, operand: int) -> bool:
    if user.opcode == "dynamic-update-slice":
        return operand == 0
    if user.opcode == "triangular-solve":
        return operand == 1
    return user.opcode in opcodes.ELEMENTWISE


def _changed_arrays(instruction: Instruction) -> tuple[Alias, ...]:
    """Pair results and operands: a scatter of n arrays takes these, the indices, n updates."""
    if instruction.opcode not in opcodes.WRITES_OVER or not instruction.operands:
        return ()
    if instruction.shape.dtype != "tuple":
        return (Alias(operand=0),)
    count = min(len(instruction.operands) // 2, len(instruction.shape.elements))
    return tuple([Alias(output_index=(number,), operand=number) for number in range(count)])


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferReuse:
    """Pairs of values of which the later (a target) may lie where the earlier (a source) lay."""

    sources: Mapping[int, Sequence[int]]
    targets: Mapping[int, Sequence[int]]


def find_buffer_reuse(module: Module, values: Values) -> BufferReuse:
    """Find what may take over the memory of an operand that dies with the op."""
    sources: dict[int, list[int]] = {}
    targets: dict[int, list[int]] = {}
    users: Counter[str] = Counter()
    for node in values.nodes:
        users.update(node.operands)
    for number, value in enumerate(values.all):
        node = value.node
        if node.opcode in opcodes.ENTRIES | opcodes.GIVEN:
            continue
        for position, source in _dying_operands(value, values):
            name = node.operands[position]
            if node.opcode == "sort":
                # The array that is sorted by others' keys is another one at the same position.
                shares = users[name] == 1 and values.leaves[node.name].index(number) == position
            else:
                shape = values.shapes[name]
                shares = may_share(module, node.instruction, position, shape, value.shape)
            if shares and source not in sources.get(number, ()):
                sources.setdefault(number, []).append(source)
                targets.setdefault(source, []).append(number)
    return BufferReuse(sources=sources, targets=targets)


def _dying_operands(value: Value, values: Values) -> Iterator[tuple[int, int]]:
    """Yield the position and the value of each operand that is an array and dies with the op."""
    for position, name in enumerate(value.node.operands):
        leaves = values.leaves[name]
        if len(leaves) == 1:
            operand = values.all[leaves[0]]
            if operand.end == value.start and operand.storage != value.storage:
                yield position, leaves[0]
