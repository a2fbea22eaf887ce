"""Where in the model an op belongs, as far as its neighbours tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, structs

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_name import LOSS_SCOPE


class Attribution(Struct, frozen=True, kw_only=True, gc=False):
    """Where in the model an op belongs; `layer` is None where that cannot be said."""

    layer: str | None
    phase: str


_FAR = 200
"""How many ops to follow from a gradient to the parameter that it updates."""

NOWHERE = Attribution(layer=None, phase="forward")


def attribute_by_neighbours(
    nodes: Sequence[Node],
    attributions: dict[str, Attribution],
    certain: Collection[str],
    named: Collection[str],
    flow: Flow | None = None,
) -> None:
    """Place the ops that say nothing by the parameters they read, their users, their operands.

    The phases of the `certain` stand, and of what is `named` no more becomes part of an update.
    `flow` is that of the nodes, where it is known already.
    """
    neighbours = _Neighbours(nodes, flow or Flow(nodes), attributions)

    def place(node: Node, found: Attribution) -> None:
        own = attributions[node.name].phase
        if found.phase == "update" != own and (node.name in named or node.name in certain):
            return
        if node.name in certain:
            found = structs.replace(found, phase=own)
        attributions[node.name] = found

    nowhere = [node for node in nodes if attributions[node.name].layer is None]
    for node in reversed(nowhere):
        place(node, neighbours.served(node))
    for node in nowhere:
        if attributions[node.name].layer is None:
            makers = [attributions[maker] for maker in neighbours.makers(node)]
            layers = [maker for maker in makers if maker.layer != LOSS_SCOPE]
            place(node, common(layers or makers))
        if attributions[node.name].layer is None and node.parent is not None:
            place(node, attributions[node.parent])


class Flow:
    """Where values come from and go to, looking through the borders of fusions and calls.

    A user or operand that is a container is looked into: the op inside that takes the value, or
    makes it, says more than the container, which may span layers.

    Attributes:
        nodes: All nodes by name.
        users: Names of the nodes that take the value of each.
        made_by: By name of a container, the node inside that makes its result.
        outer: By name of a parameter inside a container, the node outside whose value it is.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.users: dict[str, list[str]] = {}
        self.made_by: dict[str, str] = {}
        self.outer: dict[str, str] = {}
        taken_by: dict[str, dict[int, str]] = {}
        for node in nodes:
            if node.parent is None:
                continue
            container, number = self.nodes[node.parent], node.instruction.parameter_number
            self.made_by[container.name] = node.name
            if number is not None and container.opcode in opcodes.INLINED:
                taken_by.setdefault(container.name, {})[number] = node.name
                self.outer[node.name] = container.operands[number]
        users = self.users
        for node in nodes:
            name, takers = node.name, taken_by.get(node.name)
            for position, operand in enumerate(node.operands):
                taker = name if takers is None else takers.get(position, name)
                if operand in users:
                    users[operand].append(taker)
                else:
                    users[operand] = [taker]
        for container_name, maker in self.made_by.items():
            users.setdefault(maker, []).extend(users.get(container_name, ()))


class _Neighbours:
    """What an op's neighbours say of where it is."""

    def __init__(
        self, nodes: Sequence[Node], flow: Flow, attributions: Mapping[str, Attribution]
    ) -> None:
        self._attributions, self._flow = attributions, flow
        self._nodes, self._users, self._outer = flow.nodes, flow.users, flow.outer
        self._owned = {
            node.name
            for node in nodes
            if node.opcode == "parameter" and attributions[node.name].layer is not None
        }

    def makers(self, node: Node) -> list[str]:
        """Name the ops that make the node's operands."""
        made_by = self._flow.made_by
        return [made_by.get(operand, operand) for operand in node.operands]

    def served(self, node: Node) -> Attribution:
        """Return the layer a node serves: whose parameters it reads or updates, or who uses it."""
        known, outer, owned = self._attributions, self._outer, self._owned
        users = common([known[user] for user in self._users.get(node.name, ())])
        if not node.operands:
            return users
        read = [outer.get(operand, operand) for operand in node.operands]
        weights = common([known[operand] for operand in read if operand in owned])
        if users.phase != "update":
            return users if weights.layer is None else structs.replace(weights, phase=users.phase)
        if node.opcode in opcodes.PRODUCTS:
            return self._updated(node) or structs.replace(weights, phase="backward")
        return users

    def _updated(self, product: Node) -> Attribution | None:
        """Find the parameter that a weight gradient updates: of its size, read with it."""
        size = product.instruction.shape.size
        seen = {product.name}
        pending = [product.name]
        while pending:
            for name in self._users.get(pending.pop(0), ()):
                user = self._nodes[name]
                if name in seen or len(seen) > _FAR:
                    continue
                seen.add(name)
                pending.append(name)
                around = self._nodes[user.parent] if user.parent is not None else user
                for operand in (*user.operands, *around.operands):
                    owner = self._outer.get(operand, operand)
                    if owner in self._owned and self._nodes[owner].instruction.shape.size == size:
                        return structs.replace(self._attributions[owner], phase="backward")
        return None


def common(found: Sequence[Attribution]) -> Attribution:
    """Return the deepest scope that holds all that is known, and the phase they share."""
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
