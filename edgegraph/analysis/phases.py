"""Which ops update the model, and which are its loss: what a training step does around the model.

JAX writes into op_name what it differentiates (``jvp``) and the backward pass (``transpose``), and
of what a step does around these only that it is in neither. What depends on a gradient there is
the update, with what nothing but the update uses: averages of gradients, the learning rate, the
number of the step. What is differentiated, in no layer, and behind all of them, is the loss.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.sources import Sources


def updates_something(nodes: Sequence[Node], held: Collection[str]) -> bool:
    """Return whether a program returns arrays like those that it is given to hold.

    A function that only returns gradients of its input, such as a sampler or the forces between
    particles, updates no model.
    """
    shapes = {node.name: node.instruction.shape for node in nodes}
    kept = {(shapes[name].dtype, shapes[name].dimensions) for name in held}
    root = next(node for node in reversed(nodes) if node.parent is None)
    return any((leaf.dtype, leaf.dimensions) in kept for leaf in root.instruction.shape.leaves())


def find_updates(
    nodes: Sequence[Node],
    sources: Sources,
    gradients: Collection[str],
    differentiated: Collection[str],
) -> frozenset[str]:
    """Name the ops of the update.

    Args:
        nodes: All ops, operands before users.
        sources: Of these.
        gradients: Names of the ops of the backward pass.
        differentiated: Those of all ops that are differentiated, `gradients` among them; the model
            is in these, and they are no update.
    """
    if not gradients:
        return frozenset()
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


def find_loss(
    nodes: Sequence[Node],
    sources: Sources,
    layers: Mapping[str, str | None],
    forward: Set[str],
    backward: Set[str],
) -> frozenset[str]:
    """Name the ops of the loss.

    Args:
        nodes: All ops, operands before users.
        sources: Of these.
        layers: The layer of each op, as far as it has one.
        forward: The differentiated ops that come before the backward pass.
        backward: The ops of the backward pass.
    """
    doing = [node for node in nodes if node.opcode not in opcodes.MAKERS_BEHIND]
    nowhere = [node.name for node in doing if not layers[node.name]]
    if forward.isdisjoint(nowhere) and backward.isdisjoint(nowhere):
        return frozenset()
    behind = {name for name, layer in layers.items() if layer}
    for node in doing:
        if not behind.isdisjoint(sources.of(node)):
            behind.add(node.name)
    gradients: set[str] = set()
    used: set[str] = set()
    for node in doing:
        if node.name in backward:
            read = sources.of(node)
            if layers[node.name] or any(name in gradients for name in read):
                gradients.add(node.name)
                used.update(read)
    before = -1
    while before < len(used):  # once more for every loop within a loop
        before = len(used)
        for node in reversed(doing):
            if node.name in used or (node.name in forward and layers[node.name]):
                used.update(sources.with_earlier_turns(node))
    return frozenset(
        name
        for name in nowhere
        if (name in forward and name in behind and name not in used)
        or (name in backward and name not in gradients)
    )
