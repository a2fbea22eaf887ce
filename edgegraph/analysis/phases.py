"""Which ops update the model: what a training step does with its gradients.

JAX writes into op_name what it differentiates (``jvp``) and the backward pass (``transpose``), and
of what a step does around these only that it is in neither. What depends on a gradient there is
the update, with what nothing but the update uses: averages of gradients, the learning rate, the
number of the step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgegraph.analysis.sources import Sources
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
    sources = Sources(nodes)
    doing = [node for node in nodes if node.opcode not in opcodes.MAKERS_BEHIND]
    updates: set[str] = set()
    after = set(gradients)
    for node in doing:
        if node.name not in differentiated and not after.isdisjoint(sources.of(node)):
            updates.add(node.name)
            after.add(node.name)
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
