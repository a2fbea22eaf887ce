"""What makes the values that an op reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node


class Sources:
    """Finds what makes the values that an op reads, through tuples, calls and one turn of loops.

    Ops go by their place among `nodes`, here and in what is found.

    Attributes:
        nodes: All ops, containers before their contents, operands before users.
        places: The place of every op, by its name.
        operands: Of every op, by position.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.places = places = {node.name: place for place, node in enumerate(nodes)}
        self.operands = [[places[operand] for operand in node.operands] for node in nodes]
        # In order of execution, the last op of a computation makes its result.
        self._last: dict[tuple[str | None, str], int] = {
            (node.parent, node.computation): place for place, node in enumerate(nodes)
        }
        self._maker: list[int | None] = [
            None if node.opcode in opcodes.MADE_ELSEWHERE else place
            for place, node in enumerate(nodes)
        ]
        self._makers: dict[int, list[int]] = {}

    def of(self, place: int) -> list[int]:
        """Return the ops that make an op's operands."""
        found = self._makers.get(place)
        if found is None:
            found = []
            for operand in self.operands[place]:
                maker = self._maker[operand]
                found.append(self._find(operand) if maker is None else maker)
            self._makers[place] = found
        return found

    def _find(self, operand: int) -> int:
        path: list[int] = []
        place = operand
        while (step := self._step(place, path)) is not None:
            place = step
        self._maker[operand] = place
        return place

    def with_earlier_turns(self, place: int) -> Iterator[int]:
        """Yield the same, and what the turn before in a loop makes of what an op reads."""
        waiting: list[tuple[int, list[int]]] = [(each, []) for each in self.operands[place]]
        seen: set[tuple[int, tuple[int, ...]]] = set()
        while waiting:
            maker, path = waiting.pop()
            if (maker, tuple(path)) in seen:
                continue
            seen.add((maker, tuple(path)))
            node = self.nodes[maker]
            if node.opcode == "parameter" and node.parent is not None and path:
                loop = self.nodes[self.places[node.parent]]
                if loop.opcode == "while":
                    made = self._last[loop.name, loop.instruction.called[0]]
                    waiting.append((made, path[:]))
            step = self._step(maker, path)
            if step is None:
                yield maker
            else:
                waiting.append((step, path))

    def _step(self, place: int, path: list[int]) -> int | None:
        """Return what hands the value at a path in an op's tuple on; None if the op makes it."""
        node = self.nodes[place]
        opcode, instruction = node.opcode, node.instruction
        if opcode == "get-tuple-element":
            path.append(instruction.tuple_index or 0)
            return self.operands[place][0]
        if opcode == "tuple" and path:
            return self.operands[place][path.pop()]
        if opcode == "parameter" and node.parent is not None:
            return self._handed_in(node, self.places[node.parent])
        if opcode in opcodes.INLINED or (opcode == "while" and path):
            return self._last[node.name, instruction.called[0]]
        return None

    def _handed_in(self, parameter: Node, around: int) -> int | None:
        container = self.nodes[around]
        number = parameter.instruction.parameter_number or 0
        if container.opcode == "conditional":
            number = 1 + container.instruction.called.index(parameter.computation)
        elif container.opcode not in opcodes.INLINED and container.opcode != "while":
            return None
        return self.operands[around][number]
