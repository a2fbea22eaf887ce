"""What a fusion's ops would move if each of them ran alone."""

from __future__ import annotations

from collections.abc import Sequence

from edgegraph.cost.xla_price import XlaPricer
from edgegraph.graph import Node
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Module


def unfused_bytes(module: Module, nodes: Sequence[Node]) -> dict[str, int]:
    """Return the bytes that the ops inside every fusion would read and write one by one.

    Each op would read all its operands from memory and write its result there, as XLA's cost
    analysis counts it for an op alone. What a fusion moves across its border is less: the
    difference is what fusing saves.

    Args:
        module: The module that `nodes` were flattened from.
        nodes: All nodes, containers before their contents.

    Returns:
        Bytes of one execution by the name of every fusion that stands in no other.
    """
    pricer = XlaPricer(module)
    containers = {node.parent for node in nodes}
    fusion_of: dict[str, str] = {}
    traffic: dict[str, int] = {}
    for node in nodes:
        around = None if node.parent is None else fusion_of.get(node.parent)
        if around is None and node.opcode == "fusion":
            around = node.name
            traffic[around] = 0
        if around is None:
            continue
        fusion_of[node.name] = around
        if node.name not in containers and node.opcode not in opcodes.FREE:
            price = pricer.price(node.instruction.name)
            traffic[around] += sum(price.operand_bytes) + price.output_bytes
    return traffic
