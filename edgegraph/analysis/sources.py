"""What makes the values that an op reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node


class Sources:
    """Finds what makes the values that an op reads, through tuples, calls and one turn of loops."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}
        # In order of execution, the last op of a computation makes its result.
        self._last: dict[tuple[str | None, str], str] = {
            (node.parent, node.computation): node.name for node in nodes
        }

    def of(self, node: Node) -> Iterator[str]:
        """Yield the names of the ops that make a node's operands."""
        for operand in node.operands:
            yield self._maker(operand)

    def _maker(self, name: str) -> str:
        path: list[int] = []
        while True:
            node = self._nodes[name]
            step = self._step(node, path)
            if step is None:
                return name
            name = step

    def _step(self, node: Node, path: list[int]) -> str | None:
        """Name what hands the value at a path in a node's tuple on; None if the node makes it."""
        instruction = node.instruction
        if node.opcode == "get-tuple-element":
            path.append(instruction.tuple_index or 0)
            return node.operands[0]
        if node.opcode == "tuple" and path:
            return node.operands[path.pop()]
        if node.opcode == "parameter" and node.parent is not None:
            return self._handed_in(node, self._nodes[node.parent])
        if node.opcode in opcodes.INLINED or (node.opcode == "while" and path):
            return self._last[node.name, instruction.called[0]]
        return None

    def _handed_in(self, parameter: Node, container: Node) -> str | None:
        number = parameter.instruction.parameter_number or 0
        if container.opcode == "conditional":
            number = 1 + container.instruction.called.index(parameter.computation)
        elif container.opcode not in opcodes.INLINED and container.opcode != "while":
            return None
        return container.operands[number]
