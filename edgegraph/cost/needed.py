"""How many elements a fusion makes of each value inside it: no more than it uses.

The loops of a fusion start from the elements of its result, and compute what each of them takes. A
lookup (``gather``, ``dynamic-slice``, ``slice``) takes the elements looked up, however large its
table is, and of what the table is computed from in the same fusion the same elements. What is
scattered into an operand is written in the memory of that operand, where the updates go.

XLA's cost analysis knows that of a slice or an update of a fusion's own operand, and otherwise
counts the whole: 25.6 MB for 128 rows of an embedding of 50,000, and 6.4 MFLOP where it is scaled
before. On the CPU both took 20 µs, and a function of the whole table 1,400.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node


def needed_elements(inner: Sequence[Node], root: str) -> Mapping[str, int]:
    """Return how many elements are made of those values that are not made as a whole.

    Args:
        inner: What stands in a fusion directly, operands before their users.
        root: Name of the HLO instruction that is its result.

    Returns:
        By node name; of an array that the fusion scatters into, the elements that it writes.
    """
    if not any(node.opcode in opcodes.LOOKUPS or node.opcode == "scatter" for node in inner):
        return {}
    size = {node.name: node.instruction.shape.size for node in inner}
    given = {node.name for node in inner if node.opcode == "parameter"}
    needed: dict[str, int] = {}
    handed_out = {node.name for node in inner if node.instruction.name == root}
    for node in reversed(inner):
        used, out = needed.get(node.name, 0), node.name in handed_out
        if out and node.opcode in ("bitcast", "tuple"):
            handed_out |= set(node.operands)
            continue
        in_place = out and not used and node.opcode == "scatter" and node.operands[0] in given
        if out:
            used = size[node.operands[-1] if in_place else node.name]
        made = needed[node.name] = min(used, size[node.name])
        for position, operand in enumerate(node.operands):
            some = position == 0 and (node.opcode in opcodes.LOOKUPS or in_place)
            # Bytes put together to wider numbers are more than one for each.
            one_each = node.opcode in opcodes.BY_ELEMENT and size[operand] <= size[node.name]
            taken = made if some or one_each else size[operand]
            needed[operand] = needed.get(operand, 0) + taken
    return {name: made for name, made in needed.items() if 0 < made < size[name]}
