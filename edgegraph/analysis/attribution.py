"""Which layer and phase every op belongs to, and the model's own MACs on it.

An op says so itself in its op_name, the ops inside a fusion too. Ops that XLA added or rewrote
(copies, converts, the dot of a single row) say nothing; they belong to the layer that they
serve: the one whose parameters they read, else the one that uses their result, else the one
that made their operand.

Compilers for TPUs pad convolutions to the size of their matrix units and write small products as
other ops, so that the compiled ops multiply other numbers than the model asks for. What the model
asks for stands in the program before optimisation: it is counted there by layer and phase, and
spread over the compiled ops of that layer and phase.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from msgspec import Struct, structs

from edgegraph.analysis.instances import name_instances
from edgegraph.analysis.owners import parameter_owners
from edgegraph.analysis.phases import find_updates
from edgegraph.base.timing import bulk
from edgegraph.cost.cost import known_sum
from edgegraph.cost.custom_calls import price_custom_call
from edgegraph.cost.price import count_executions
from edgegraph.cost.products import macs
from edgegraph.cost.trip_counts import trip_counts
from edgegraph.hlo import opcodes
from edgegraph.hlo.frames import CallPaths
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_name import (
    OpName,
    parse_op_name,
    qualify_op_name,
    without_functions,
)
from edgegraph.hlo.op_tree import OpTree
from edgegraph.hlo.parameters import model_arguments, module_paths
from edgegraph.results.records import OpRecord


class Attribution(Struct, frozen=True, kw_only=True, gc=False):
    """Where in the model an op belongs; `layer` is None where that cannot be said."""

    layer: str | None
    phase: str


_FAR = 200
"""How many ops to follow from a gradient to the parameter that it updates."""

NOWHERE = Attribution(layer=None, phase="forward")


@bulk
def attribute(nodes: Sequence[Node]) -> Mapping[str, Attribution]:
    """Find layer and phase of every node; a container belongs to what its ops have in common."""
    parameters = model_arguments(nodes).parameters
    modules = module_paths(parameters.values())
    op_names = without_functions(_complete_op_names(nodes))
    said = {name: parse_op_name(op_name, modules) for name, op_name in op_names.items()}
    updates = _updates(nodes, said)
    layers = {name: each.layer for name, each in said.items()}
    layers |= name_instances(nodes, layers, parameters)
    attributions = {
        name: Attribution(layer=layers[name], phase="update" if name in updates else each.phase)
        for name, each in said.items()
    }
    certain = updates | {name for name, each in said.items() if each.differentiated}
    owners = parameter_owners(
        nodes,
        parameters,
        {name: each.layer for name, each in attributions.items() if each.phase != "update"},
    )
    for node in nodes:
        if node.opcode == "parameter" and node.parent is None:
            layer = owners.get(node.name)
            attributions[node.name] = Attribution(layer=layer, phase="forward")
    _attribute_containers(nodes, attributions)
    _attribute_by_neighbours(nodes, attributions, certain)
    _attribute_containers(nodes, attributions)
    return attributions


@bulk
def attribute_frames(nodes: Sequence[Node], module: Module) -> Mapping[str, int]:
    """Find the stack frame that every node stands in, of those of which anything is known.

    One that says nothing is placed by its neighbours, as in a layer: in the frame around theirs.
    """
    if not module.stack_frames:
        return {}
    paths = CallPaths(module)

    @cache
    def place(number: int) -> Attribution:
        return Attribution(layer="/".join(map(str, paths.of(number))) or None, phase="forward")

    attributions = {node.name: place(node.instruction.stack_frame_id) for node in nodes}
    _attribute_by_neighbours(nodes, attributions, ())
    return {
        name: int(each.layer.rpartition("/")[2])
        for name, each in attributions.items()
        if each.layer is not None
    }


def _updates(nodes: Sequence[Node], said: Mapping[str, OpName]) -> frozenset[str]:
    """Name the ops of a training step's update that no scope names so."""
    backward = {name for name, each in said.items() if each.phase == "backward"}
    if not backward:
        return frozenset()
    differentiated = {name for name, each in said.items() if each.differentiated}
    layers = {said[name].layer for name in differentiated} - {None}
    others = {name for name, each in said.items() if each.layer in layers}
    found = find_updates(nodes, backward, differentiated | others)
    # What says nothing of itself, such as a copy of a gradient, is placed by its neighbours.
    return frozenset(name for name in found if said[name].primitive)


def _complete_op_names(nodes: Sequence[Node]) -> Mapping[str, str]:
    """Return every node's op_name from the root on.

    Before optimisation JAX writes the op_names inside a called function relative to the call. What
    XLA calls by itself, it names after a loop.
    """
    containers: dict[str | None, str] = {}
    complete: dict[str, str] = {}
    for node in nodes:
        # A loop or branch inside the function is relative to the same call.
        container = containers.get(node.parent, "")
        op_name = node.instruction.op_name
        if container:
            op_name = qualify_op_name(op_name, container)
        if node.opcode in opcodes.CONTAINERS:
            called = op_name.removesuffix("/while") if node.opcode == "call" else ""
            containers[node.name] = called or container
        complete[node.name] = op_name
    return complete


def _attribute_containers(nodes: Sequence[Node], attributions: dict[str, Attribution]) -> None:
    """Place fusions, loops and calls by what they hold: their own op_name is only the last op's."""
    held: dict[str, list[Attribution]] = {}
    for node in reversed(nodes):
        attributed = attributions[node.name]
        if node.name in held:
            shared = _common(held[node.name])
            if shared.layer is not None:
                attributed = attributions[node.name] = shared
        if node.parent is not None and attributed.layer is not None:
            held.setdefault(node.parent, []).append(attributed)


def _attribute_by_neighbours(
    nodes: Sequence[Node], attributions: dict[str, Attribution], certain: Collection[str]
) -> None:
    """Place the ops that say nothing by the parameters they read, their users, their operands.

    The phases of the `certain` stand.
    """
    flow = _Flow(nodes, attributions)

    def place(node: Node, found: Attribution) -> None:
        if node.name in certain:
            found = structs.replace(found, phase=attributions[node.name].phase)
        attributions[node.name] = found

    for node in reversed(nodes):
        if attributions[node.name].layer is None:
            place(node, flow.served(node))
    for node in nodes:
        if attributions[node.name].layer is None:
            makers = _common(attributions[maker] for maker in flow.makers(node))
            place(node, makers)
        if attributions[node.name].layer is None and node.parent is not None:
            place(node, attributions[node.parent])


class _Flow:
    """Where values come from and go to, looking through the borders of fusions and calls.

    A user or operand that is a container is looked into: the op inside that takes the value, or
    makes it, says more than the container, which may span layers.
    """

    def __init__(self, nodes: Sequence[Node], attributions: Mapping[str, Attribution]) -> None:
        self._attributions = attributions
        self._nodes = {node.name: node for node in nodes}
        self._users: dict[str, list[str]] = {}
        self._taken_by: dict[tuple[str, int], str] = {}
        self._made_by: dict[str, str] = {}
        self._outer: dict[str, str] = {}
        for node in nodes:
            if node.parent is not None:
                self._enter(node, self._nodes[node.parent])
        for node in nodes:
            for position, operand in enumerate(node.operands):
                taker = self._taken_by.get((node.name, position), node.name)
                self._users.setdefault(operand, []).append(taker)
        for container, maker in self._made_by.items():
            self._users.setdefault(maker, []).extend(self._users.get(container, ()))
        self._owned = {
            node.name
            for node in nodes
            if node.opcode == "parameter" and attributions[node.name].layer is not None
        }

    def _enter(self, node: Node, container: Node) -> None:
        """Note which op inside takes a container's operand, and which makes its result."""
        self._made_by[container.name] = node.name
        number = node.instruction.parameter_number
        if number is not None and container.opcode in opcodes.INLINED:
            self._taken_by[container.name, number] = node.name
            self._outer[node.name] = container.operands[number]

    def makers(self, node: Node) -> list[str]:
        """Name the ops that make the node's operands."""
        return [self._made_by.get(operand, operand) for operand in node.operands]

    def served(self, node: Node) -> Attribution:
        """Return the layer a node serves: whose parameters it reads or updates, or who uses it."""
        users = _common(self._attributions[user] for user in self._users.get(node.name, ()))
        read = (self._outer.get(operand, operand) for operand in node.operands)
        weights = _common(self._attributions[operand] for operand in read if operand in self._owned)
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


def _common(attributions: Iterable[Attribution]) -> Attribution:
    """Return the deepest scope that holds all known `attributions`, and the phase they share."""
    found = list(attributions)
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


LayerPhase = tuple[str | None, str]
"""Layer and phase."""


@bulk
def model_macs(before: Module) -> Mapping[LayerPhase, int] | None:
    """Count the MACs of a program before optimisation, by layer and phase.

    None where they depend on the data: it has a conditional, a loop of unknown length, or a call
    whose MACs are not known.
    """
    nodes = flatten(before)
    places = attribute(nodes)
    executions = count_executions(nodes, trip_counts(before))
    shapes = {node.name: node.instruction.shape for node in nodes}
    found: dict[LayerPhase, int] = {}
    for node in nodes:
        instruction = node.instruction
        operands = [shapes[operand] for operand in node.operands]
        products: int | None = macs(instruction, operands)
        if instruction.opcode == "custom-call":
            cost = price_custom_call(instruction, operands)
            products = None if cost is None else cost.macs
        times = executions[node.name].count
        if instruction.opcode == "conditional" or products is None or (products and times is None):
            return None
        if products and times:
            where = places[node.name]
            layer_phase = (where.layer, where.phase)
            found[layer_phase] = found.get(layer_phase, 0) + products * times
    return found


@bulk
def with_model_macs(
    records: Sequence[OpRecord], wanted: Mapping[LayerPhase, int]
) -> tuple[OpRecord, ...]:
    """Spread the model's MACs, which `model_macs` returned, over the compiled ops.

    Every layer's MACs go to its products in the same phase, in proportion to their FLOPs where they
    are not theirs anyhow; where the compiler left no product there, to its other ops; where it left
    none at all, to those of the layer around it. The sum stays the model's, exactly.
    """
    tree = OpTree(records)
    if known_sum(record.macs for record in tree.top) == sum(wanted.values()):
        return tuple(records)
    work = [record for record in tree.leaves if record.flops]
    products: dict[LayerPhase, list[OpRecord]] = {}
    others: dict[LayerPhase, list[OpRecord]] = {}
    for record in work:
        group = products if record.macs else others
        group.setdefault((record.layer, record.phase), []).append(record)
    parts: dict[str, int] = {}
    for layer_phase, amount in wanted.items():
        ops = _ops_of(layer_phase, products, others) or work
        theirs = [op.macs or 0 for op in ops]
        if sum(theirs) != amount:
            theirs = _distribute(amount, [op.flops or 0 for op in ops])
        for op, part in zip(ops, theirs, strict=True):
            parts[op.name] = parts.get(op.name, 0) + part
    sums: dict[str, int] = {}
    for record in reversed(records):
        own = (parts if tree.is_leaf(record) else sums).get(record.name, 0)
        sums[record.name] = own
        if record.parent is not None:
            sums[record.parent] = sums.get(record.parent, 0) + own
    return tuple(structs.replace(record, macs=sums[record.name]) for record in records)


def _ops_of(
    layer_phase: LayerPhase,
    products: Mapping[LayerPhase, list[OpRecord]],
    others: Mapping[LayerPhase, list[OpRecord]],
) -> list[OpRecord]:
    layer, phase = layer_phase
    while layer:
        found = products.get((layer, phase)) or others.get((layer, phase))
        if found:
            return found
        layer = layer.rpartition("/")[0]
    return products.get((None, phase), [])


def _distribute(amount: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights; what rounding leaves goes to the largest remainders."""
    total = sum(weights)
    parts = [amount * weight // total for weight in weights]
    left = amount - sum(parts)
    remainders = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in remainders[:left]:
        parts[i] += 1
    return parts
