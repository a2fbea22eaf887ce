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
        self._makers: dict[str, str] = {}

    def of(self, node: Node) -> list[str]:
        """Name the ops that make a node's operands."""
        known = self._makers
        return [known.get(operand) or self._find(operand) for operand in node.operands]

    def _find(self, operand: str) -> str:
        path: list[int] = []
        name = operand
        while (step := self._step(self._nodes[name], path)) is not None:
            name = step
        self._makers[operand] = name
        return name

    def with_earlier_turns(self, node: Node) -> Iterator[str]:
        """Yield the same, and what the turn before in a loop makes of what a node reads."""
        waiting: list[tuple[str, list[int]]] = [(operand, []) for operand in node.operands]
        seen: set[tuple[str, tuple[int, ...]]] = set()
        while waiting:
            name, path = waiting.pop()
            if (name, tuple(path)) in seen:
                continue
            seen.add((name, tuple(path)))
            maker = self._nodes[name]
            if maker.opcode == "parameter" and maker.parent is not None and path:
                loop = self._nodes[maker.parent]
                if loop.opcode == "while":
                    made = self._last[loop.name, loop.instruction.called[0]]
                    waiting.append((made, path[:]))
            step = self._step(maker, path)
            if step is None:
                yield name
            else:
                waiting.append((step, path))

    def _step(self, node: Node, path: list[int]) -> str | None:
        """Name what hands the value at a path in a node's tuple on; None if the node makes it."""
        instruction = node.instruction
        opcode = instruction.opcode
        if opcode == "get-tuple-element":
            path.append(instruction.tuple_index or 0)
            return node.operands[0]
        if opcode == "tuple" and path:
            return node.operands[path.pop()]
        if opcode == "parameter" and node.parent is not None:
            return self._handed_in(node, self._nodes[node.parent])
        if opcode in opcodes.INLINED or (opcode == "while" and path):
            return self._last[node.name, instruction.called[0]]
        return None

    def _handed_in(self, parameter: Node, container: Node) -> str | None:
        number = parameter.instruction.parameter_number or 0
        if container.opcode == "conditional":
            number = 1 + container.instruction.called.index(parameter.computation)
        elif container.opcode not in opcodes.INLINED and container.opcode != "while":
            return None
        return container.operands[number]
