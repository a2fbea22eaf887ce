"""Whose bytes cross a fusion's border.

A fusion is one kernel: what its inner ops hand to each other stays in registers and caches.
Only its operands are read and only its result is written; those bytes belong to the inner ops
that use an operand or make a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgegraph.cost.memory_spaces import MemorySpaces
from edgegraph.cost.xla_price import XlaPrice
from edgegraph.graph import Node
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Shape

Credit = dict[str, tuple[int, int, int]]
"""Bytes read, bytes written, and how many of both stay on the chip, by node name."""


def attribute_boundary_bytes(
    fusion: Node,
    contents: Mapping[str | None, Sequence[Node]],
    root: str,
    price: XlaPrice,
    operands: Sequence[Shape],
    spaces: MemorySpaces,
) -> Credit:
    """Credit the bytes that XLA says cross the border to the ops inside.

    Args:
        fusion: The fusion.
        contents: Nodes by the name of the container that they run in.
        root: Name of the HLO instruction that is the fused computation's result.
        price: XLA's price of the whole fusion.
        operands: Shapes of its operands, with their memory spaces.
        spaces: Of the module.

    Returns:
        By inner node; the sums of the bytes read and written equal the price's, exactly.
    """
    inner = {node.name: node for node in contents[fusion.name]}
    users: dict[str, list[str]] = {}
    for node in inner.values():
        for operand in dict.fromkeys(node.operands):
            users.setdefault(operand, []).append(node.name)
    reads: dict[str, int] = {}
    writes: dict[str, int] = {}
    on_chip: dict[str, int] = {}
    result = next(name for name, node in inner.items() if node.instruction.name == root)
    for name, node in inner.items():
        number = node.instruction.parameter_number
        if node.opcode == "parameter" and number is not None:
            workers = _working_users(name, inner, users) or [name]
            read = price.operand_bytes[number]
            _share(read, workers, [1] * len(workers), reads)
            if kept := spaces.on_chip(read, operands[number]):
                _share(kept, workers, [1] * len(workers), on_chip)
    makers = _makers(result, inner)
    sizes = [inner[maker].instruction.shape.bytes for maker in makers]
    _share(price.output_bytes, makers, sizes, writes)
    if kept := spaces.on_chip(price.output_bytes, fusion.instruction.shape):
        _share(kept, makers, sizes, on_chip)
    return {
        _leaf(name, inner, contents): (
            reads.get(name, 0),
            writes.get(name, 0),
            on_chip.get(name, 0),
        )
        for name in {**reads, **writes}
    }


def _working_users(
    name: str, inner: Mapping[str, Node], users: Mapping[str, Sequence[str]]
) -> list[str]:
    """Find the ops that do something with a value, looking through bitcasts and tuples."""
    found: dict[str, None] = {}
    pending = [name]
    seen = {name}
    while pending:
        for user in users.get(pending.pop(), ()):
            if inner[user].opcode not in opcodes.FREE:
                found[user] = None
            elif user not in seen:
                seen.add(user)
                pending.append(user)
    return list(found)


def _makers(root: str, inner: Mapping[str, Node]) -> list[str]:
    """Find the ops that make the result, looking through bitcasts and tuples."""
    found: dict[str, None] = {}
    pending = [root]
    while pending:
        node = inner[pending.pop()]
        if node.opcode in opcodes.FREE and node.operands:
            pending.extend(reversed(node.operands))
        else:
            found[node.name] = None
    return list(found)


def _share(amount: int, names: Sequence[str], weights: Sequence[int], into: dict[str, int]) -> None:
    """Split `amount` by `weights` into whole bytes; what rounding leaves goes to the first."""
    whole = sum(weights) or len(weights)
    parts = [amount * (weight if sum(weights) else 1) // whole for weight in weights]
    parts[0] += amount - sum(parts)
    for name, part in zip(names, parts, strict=True):
        into[name] = into.get(name, 0) + part


def _leaf(
    name: str, inner: Mapping[str, Node], contents: Mapping[str | None, Sequence[Node]]
) -> str:
    """Descend from a container inside the fusion to the last op in it, which makes its result."""
    node = inner[name]
    while node.opcode in opcodes.CONTAINERS:
        node = contents[node.name][-1]
    return node.name
