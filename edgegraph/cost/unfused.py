"""What a fusion's ops would move if each of them ran alone."""

from __future__ import annotations

from collections.abc import Sequence

from edgegraph.cost.xla_price import XlaPricer
from edgegraph.graph import Node
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_tree import OpTree


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

    def moved(node: Node) -> int:
        price = pricer.price(node.instruction.name)
        return sum(price.operand_bytes) + price.output_bytes

    return {
        kernel.name: sum(map(moved, kernel.ops))
        for kernel in OpTree(nodes).kernels
        if kernel.head.opcode == "fusion"
    }
