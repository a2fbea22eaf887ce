"""Which results may lie where an operand lay that is not needed any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgegraph.cost.in_place import InPlace
from edgegraph.cost.values import Value, Values
from edgegraph.hlo import opcodes


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferReuse:
    """Pairs of values of which the later may lie where the earlier lay.

    Attributes:
        sources: The earlier ones, in the order of operands, by the later one's number.
        targets: The later ones, by the earlier one's number.
    """

    sources: Mapping[int, Sequence[int]]
    targets: Mapping[int, Sequence[int]]


def find_buffer_reuse(values: Values, in_place: InPlace) -> BufferReuse:
    """Find what may take over the memory of an operand that dies with the op."""
    sources: dict[int, list[int]] = {}
    targets: dict[int, list[int]] = {}
    users: Counter[str] = Counter()
    for node in values.nodes:
        users.update(node.operands)
    for number, value in enumerate(values.all):
        if value.node.opcode in opcodes.ENTRIES | opcodes.GIVEN:
            continue
        for position, source in _dying_operands(value, values):
            if not _may_reuse(number, position, values, users, in_place):
                continue
            known = sources.setdefault(number, [])
            if source not in known:
                known.append(source)
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


def _may_reuse(
    number: int, position: int, values: Values, users: Mapping[str, int], in_place: InPlace
) -> bool:
    """Return whether a value may lie where an operand of its op lay."""
    value = values.all[number]
    node = value.node
    name = node.operands[position]
    if node.opcode == "sort":
        # The array that is sorted by others' keys is another one at the same position.
        return users[name] == 1 and values.leaves[node.name].index(number) == position
    return in_place.may_share(node.instruction, position, values.shapes[name], value.shape)
