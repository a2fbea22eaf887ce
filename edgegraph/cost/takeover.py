"""Which results may lie where an operand lay that is not needed any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgegraph.cost.in_place import InPlace
from edgegraph.cost.values import Value, Values

_MAKES_NOTHING = frozenset({"parameter", "constant", "while", "conditional"})
"""Ops where a value enters or leaves a loop or branch, in memory that it lies in already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeovers:
    """Pairs of values of which the later may lie where the earlier lay.

    Attributes:
        donors: The earlier ones, in the order of operands, by the later one's number.
        heirs: The later ones, by the earlier one's number.
    """

    donors: Mapping[int, Sequence[int]]
    heirs: Mapping[int, Sequence[int]]


def find_takeovers(values: Values, in_place: InPlace) -> Takeovers:
    """Find what may take over the memory of an operand that dies with the op."""
    donors: dict[int, list[int]] = {}
    heirs: dict[int, list[int]] = {}
    users: Counter[str] = Counter()
    for node in values.nodes:
        users.update(node.operands)
    for number, value in enumerate(values.all):
        if value.node.instruction.opcode in _MAKES_NOTHING:
            continue
        for position, donor in _dying_operands(value, values):
            if not _may_take_over(number, position, values, users, in_place):
                continue
            known = donors.setdefault(number, [])
            if donor not in known:
                known.append(donor)
                heirs.setdefault(donor, []).append(number)
    return Takeovers(donors=donors, heirs=heirs)


def _dying_operands(value: Value, values: Values) -> Iterator[tuple[int, int]]:
    """Yield the position and the value of each operand that is an array and dies with the op."""
    for position, name in enumerate(value.node.operands):
        leaves = values.leaves[name]
        if len(leaves) == 1:
            operand = values.all[leaves[0]]
            if operand.end == value.start and operand.storage != value.storage:
                yield position, leaves[0]


def _may_take_over(
    number: int, position: int, values: Values, users: Mapping[str, int], in_place: InPlace
) -> bool:
    """Return whether a value may lie where an operand of its op lay."""
    value = values.all[number]
    node = value.node
    name = node.operands[position]
    if node.instruction.opcode == "sort":
        # The array that is sorted by others' keys is another one at the same position.
        return users[name] == 1 and values.leaves[node.name].index(number) == position
    return in_place.may_share(node.instruction, position, values.shapes[name], value.shape)
