"""Where in the model an op belongs, as far as its neighbours tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct, structs

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_name import LOSS_SCOPE
from edgegraph.hlo.sources import Sources


class Attribution(Struct, frozen=True, kw_only=True, gc=False):
    """Where in the model an op belongs; `layer` is None where that cannot be said."""

    layer: str | None
    phase: str


_FAR = 200
"""How many ops to follow from a gradient to the parameter that it updates."""

NOWHERE = Attribution(layer=None, phase="forward")


def attribute_by_neighbours(
    flow: Flow,
    attributions: list[Attribution],
    certain: Collection[int],
    named: Collection[int],
) -> None:
    """Place the ops that say nothing by the parameters they read, their users, their operands.

    The phases of the `certain` stand, and of what is `named` no more becomes part of an update.
    """
    neighbours = _Neighbours(flow, attributions)

    def place(at: int, found: Attribution) -> None:
        own = attributions[at].phase
        if found.phase == "update" != own and (at in named or at in certain):
            return
        if found.phase != own and at in certain:
            found = structs.replace(found, phase=own)
        attributions[at] = found

    nowhere = [at for at, each in enumerate(attributions) if each.layer is None]
    for at in reversed(nowhere):
        place(at, neighbours.served(at))
    for at in nowhere:
        if attributions[at].layer is None:
            makers = [attributions[maker] for maker in neighbours.makers(at)]
            layers = [maker for maker in makers if maker.layer != LOSS_SCOPE]
            place(at, common(layers or makers))
        around = flow.around[at]
        if attributions[at].layer is None and around is not None:
            place(at, attributions[around])


class Flow:
    """Where values come from and go to, looking through the borders of fusions and calls.

    A user or operand that is a container is looked into: the op inside that takes the value, or
    makes it, says more than the container, which may span layers. Ops go by their place among all.

    Attributes:
        nodes: All ops.
        sources: Of these.
        around: The container of every op.
        users: The ops that take the value of each.
        made_by: By container, the op inside that makes its result.
        outer: By parameter inside a container, the op outside whose value it is.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.sources = Sources(nodes)
        self.around = [
            None if node.parent is None else self.sources.places[node.parent] for node in nodes
        ]
        self.users: list[list[int]] = [[] for _ in nodes]
        self.made_by: dict[int, int] = {}
        self.outer: dict[int, int] = {}
        operands, users = self.sources.operands, self.users
        taken_by: dict[int, dict[int, int]] = {}
        for at, container in enumerate(self.around):
            if container is None:
                continue
            self.made_by[container] = at
            number = nodes[at].instruction.parameter_number
            if number is not None and nodes[container].opcode in opcodes.INLINED:
                taken_by.setdefault(container, {})[number] = at
                self.outer[at] = operands[container][number]
        for at, taken in enumerate(operands):
            takers = taken_by.get(at)
            for position, operand in enumerate(taken):
                users[operand].append(at if takers is None else takers.get(position, at))
        for container, maker in self.made_by.items():
            users[maker].extend(users[container])


class _Neighbours:
    """What an op's neighbours say of where it is."""

    def __init__(self, flow: Flow, attributions: Sequence[Attribution]) -> None:
        self._attributions, self._flow = attributions, flow
        self._nodes, self._operands = flow.nodes, flow.sources.operands
        self._owned = {
            at
            for at, node in enumerate(flow.nodes)
            if node.opcode == "parameter" and attributions[at].layer is not None
        }

    def makers(self, at: int) -> list[int]:
        """Return the ops that make an op's operands."""
        made_by = self._flow.made_by
        return [made_by.get(operand, operand) for operand in self._operands[at]]

    def served(self, at: int) -> Attribution:
        """Return the layer an op serves: whose parameters it reads or updates, or who uses it."""
        known, outer, owned = self._attributions, self._flow.outer, self._owned
        users = common([known[user] for user in self._flow.users[at]])
        if not self._operands[at]:
            return users
        read = [outer.get(operand, operand) for operand in self._operands[at]]
        weights = common([known[operand] for operand in read if operand in owned])
        if users.phase != "update":
            return users if weights.layer is None else structs.replace(weights, phase=users.phase)
        if self._nodes[at].opcode in opcodes.PRODUCTS:
            return self._updated(at) or structs.replace(weights, phase="backward")
        return users

    def _updated(self, product: int) -> Attribution | None:
        """Find the parameter that a weight gradient updates: of its size, read with it."""
        size = self._nodes[product].instruction.shape.size
        seen = {product}
        pending = [product]
        while pending:
            for user in self._flow.users[pending.pop(0)]:
                if user in seen or len(seen) > _FAR:
                    continue
                seen.add(user)
                pending.append(user)
                container = self._flow.around[user]
                around = user if container is None else container
                for operand in (*self._operands[user], *self._operands[around]):
                    owner = self._flow.outer.get(operand, operand)
                    if owner in self._owned and self._nodes[owner].instruction.shape.size == size:
                        return structs.replace(self._attributions[owner], phase="backward")
        return None


def common(found: Sequence[Attribution]) -> Attribution:
    """Return the deepest scope that holds all that is known, and the phase they share."""
    if len(found) == 1:
        return found[0]
    known = [attributed for attributed in found if attributed.layer is not None]
    if not known:
        # Without a layer what is said of the phase is that of JAX, or of the same neighbours.
        return found[0] if found and found.count(found[0]) == len(found) else NOWHERE
    if known.count(known[0]) == len(known):
        return known[0]
    shared = known[0].layer or ""
    for attributed in known[1:]:
        layer = attributed.layer or ""
        while shared and layer != shared and not layer.startswith(shared + "/"):
            shared = shared.rpartition("/")[0]
    phases = {attributed.phase for attributed in known}
    phase = known[0].phase if len(phases) == 1 else "forward"
    return Attribution(layer=shared or None, phase=phase)
