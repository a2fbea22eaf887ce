"""Which ops update the model, and which are its loss: what a training step does around the model.

JAX writes into op_name what it differentiates (``jvp``) and the backward pass (``transpose``), and
of what a step does around these only that it is in neither. What depends on a gradient there is
the update, with what nothing but the update uses: averages of gradients, the learning rate, the
number of the step. What is differentiated, in no layer, and behind all of them, is the loss.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.sources import Sources


def updates_something(nodes: Sequence[Node], held: Collection[str]) -> bool:
    """Return whether a program returns arrays like those that it is given to hold.

    A function that only returns gradients of its input, such as a sampler or the forces between
    particles, updates no model.
    """
    shapes = [node.instruction.shape for node in nodes if node.name in held]
    kept = {(shape.dtype, shape.dimensions) for shape in shapes}
    root = next(node for node in reversed(nodes) if node.parent is None)
    return any((leaf.dtype, leaf.dimensions) in kept for leaf in root.instruction.shape.leaves())


def find_updates(
    sources: Sources, gradients: Collection[int], differentiated: Collection[int]
) -> frozenset[int]:
    """Find the ops of the update.

    Args:
        sources: Of all ops, which go by their place.
        gradients: The ops of the backward pass.
        differentiated: All ops that are differentiated, `gradients` among them; the model is in
            these, and they are no update.
    """
    if not gradients:
        return frozenset()
    doing = _doing(sources)
    updates: set[int] = set()
    after = set(gradients)
    for at in doing:
        if at not in differentiated and not after.isdisjoint(sources.of(at)):
            updates.add(at)
            after.add(at)
    model: set[int] = set()
    only: set[int] = set()
    for at in reversed(doing):
        if at in updates:
            only.update(sources.of(at))
        elif at in differentiated or at in model:
            model.update(sources.of(at))
        elif at in only:
            updates.add(at)
            only.update(sources.of(at))
    return frozenset(updates)


def find_loss(
    sources: Sources,
    layers: Sequence[str | None],
    forward: Set[int],
    backward: Set[int],
) -> frozenset[int]:
    """Find the ops of the loss.

    Args:
        sources: Of all ops, which go by their place.
        layers: The layer of each op, as far as it has one.
        forward: The differentiated ops that come before the backward pass.
        backward: The ops of the backward pass.
    """
    doing = _doing(sources)
    nowhere = [at for at in doing if not layers[at]]
    if forward.isdisjoint(nowhere) and backward.isdisjoint(nowhere):
        return frozenset()
    behind = {at for at, layer in enumerate(layers) if layer}
    for at in doing:
        if not behind.isdisjoint(sources.of(at)):
            behind.add(at)
    gradients: set[int] = set()
    used: set[int] = set()
    for at in doing:
        if at in backward:
            read = sources.of(at)
            if layers[at] or not gradients.isdisjoint(read):
                gradients.add(at)
                used.update(read)
    before = -1
    while before < len(used):  # once more for every loop within a loop
        before = len(used)
        for at in reversed(doing):
            if at in used or (at in forward and layers[at]):
                used.update(sources.with_earlier_turns(at))
    return frozenset(
        at
        for at in nowhere
        if (at in forward and at in behind and at not in used)
        or (at in backward and at not in gradients)
    )


def _doing(sources: Sources) -> list[int]:
    """Return the ops that do not only hand on what others have made."""
    passing = opcodes.MAKERS_BEHIND
    return [at for at, node in enumerate(sources.nodes) if node.opcode not in passing]
