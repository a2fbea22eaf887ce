"""Which ops update the model: what a training step does with its gradients.

JAX writes into op_name what it differentiates (``jvp``) and the backward pass (``transpose``), and
of what a step does around these only that it is in neither. What depends on a gradient there is
the update, with what nothing but the update uses: averages of gradients, the learning rate, the
number of the step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node


def find_updates(
    nodes: Sequence[Node], gradients: Collection[str], differentiated: Collection[str]
) -> frozenset[str]:
    """Name the ops of the update.

    Args:
        nodes: All ops, operands before users.
        gradients: Names of the ops of the backward pass.
        differentiated: Those of all ops that are differentiated, `gradients` among them; the model
            is in these, and they are no update.
    """
    if not gradients:
        return frozenset()
    sources = _Sources(nodes)
    doing = [node for node in nodes if node.opcode not in _LOOKED_THROUGH]
    updates: set[str] = set()
    for node in doing:
        if node.name not in differentiated:
            read = sources.of(node)
            if any(name in updates or name in gradients for name in read):
                updates.add(node.name)
    model: set[str] = set()
    only: set[str] = set()
    for node in reversed(doing):
        name = node.name
        if name in updates:
            only.update(sources.of(node))
        elif name in differentiated or name in model:
            model.update(sources.of(node))
        elif name in only:
            updates.add(name)
            only.update(sources.of(node))
    return frozenset(updates)


_LOOKED_THROUGH = opcodes.TUPLES | opcodes.INLINED | {"while"}
"""What they hold or hand on tells more than that they hold it together."""


class _Sources:
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
