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

from collections.abc import Collection, Mapping, Sequence

from msgspec import structs

from edgegraph.analysis.instances import name_instances
from edgegraph.analysis.owners import parameter_owners
from edgegraph.analysis.phases import find_loss, find_updates, updates_something
from edgegraph.analysis.places import Attribution, Flow, attribute_by_neighbours, common
from edgegraph.analysis.shared_modules import by_one_path
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
    LOSS_SCOPE,
    OPTIMIZER_SCOPE,
    OpName,
    parse_op_name,
    qualify_op_name,
    without_functions,
)
from edgegraph.hlo.op_tree import OpTree
from edgegraph.hlo.parameters import (
    ModelArguments,
    ParameterName,
    model_arguments,
    module_paths,
)
from edgegraph.hlo.sources import Sources
from edgegraph.results.records import OpRecord


@bulk
def attribute(
    nodes: Sequence[Node], flow: Flow | None = None, arguments: ModelArguments | None = None
) -> Mapping[str, Attribution]:
    """Find layer and phase of every node; a container belongs to what its ops have in common.

    `flow` and `arguments` are those of the nodes, where they are known already.
    """
    flow, arguments = flow or Flow(nodes), arguments or model_arguments(nodes)
    sources = flow.sources
    parameters = {sources.places[name]: each for name, each in arguments.parameters.items()}
    said = _said(nodes, module_paths(parameters.values()))
    updates = _updates(sources, said, arguments.held)
    attributions = _by_names(sources, said, updates, parameters)
    owners = parameter_owners(
        sources,
        parameters,
        [None if each.phase == "update" else each.layer for each in attributions],
    )
    for at, node in enumerate(nodes):
        if node.opcode == "parameter" and node.parent is None:
            attributions[at] = Attribution(layer=owners.get(at), phase="forward")
    _attribute_containers(flow, attributions)
    certain = updates | {at for at, each in enumerate(said) if each.differentiated}
    unnamed = opcodes.FREE | opcodes.CONTAINERS
    named = {
        at for at, node in enumerate(nodes) if said[at].primitive and node.opcode not in unnamed
    }
    attribute_by_neighbours(flow, attributions, certain, named)
    _attribute_containers(flow, attributions)
    return dict(zip(sources.places, attributions, strict=True))


def _said(nodes: Sequence[Node], modules: frozenset[str]) -> list[OpName]:
    """Return what the op_names of ops say; each is read once."""
    op_names = without_functions(_complete_op_names(nodes))
    read = {op_name: parse_op_name(op_name, modules) for op_name in set(op_names)}
    return [read[op_name] for op_name in op_names]


def _by_names(
    sources: Sources,
    said: Sequence[OpName],
    updates: Collection[int],
    parameters: Mapping[int, ParameterName],
) -> list[Attribution]:
    """Place ops by what their names say, and those of the parameters; equal places are one."""
    layers = [
        OPTIMIZER_SCOPE if each.layer is None and at in updates else each.layer
        for at, each in enumerate(said)
    ]
    instances, gradients = name_instances(sources, layers, parameters)
    for at, layer in instances.items():
        layers[at] = layer
    layers = by_one_path(sources, layers, parameters)
    phases = ["update" if at in updates else each.phase for at, each in enumerate(said)]
    if "backward" in phases:  # a weight gradient that XLA wrote anew has no name
        for at in gradients:
            phases[at] = phases[at] if said[at].primitive else "backward"
    for at in _loss(sources, said, layers):
        layers[at] = LOSS_SCOPE
    together = list(zip(layers, phases, strict=True))
    made = {where: Attribution(layer=where[0], phase=where[1]) for where in set(together)}
    return [made[where] for where in together]


@bulk
def attribute_frames(
    nodes: Sequence[Node], module: Module, flow: Flow | None = None
) -> Mapping[str, int]:
    """Find the stack frame that every node stands in, of those of which anything is known.

    One that says nothing is placed by its neighbours, as in a layer: in the frame around theirs.
    """
    if not module.stack_frames:
        return {}
    flow, paths = flow or Flow(nodes), CallPaths(module)
    numbers = [node.instruction.stack_frame_id for node in nodes]
    places = {
        number: Attribution(layer="/".join(map(str, paths.of(number))) or None, phase="forward")
        for number in set(numbers)
    }
    attributions = [places[number] for number in numbers]
    attribute_by_neighbours(flow, attributions, (), ())
    frames = {
        layer: int(layer.rpartition("/")[2])
        for layer in {each.layer for each in attributions}
        if layer is not None
    }
    return {
        node.name: frames[each.layer]
        for node, each in zip(nodes, attributions, strict=True)
        if each.layer is not None
    }


def _updates(sources: Sources, said: Sequence[OpName], held: Collection[str]) -> frozenset[int]:
    """Find the ops of a training step's update that no scope names so."""
    backward = _in_phase(said, "backward")
    if not backward or not updates_something(sources.nodes, held):
        return frozenset()
    layers = {each.layer for each in said if each.differentiated} - {None}
    model = {at for at, each in enumerate(said) if each.differentiated or each.layer in layers}
    found = find_updates(sources, backward, model)
    # What says nothing of itself, such as a copy of a gradient, is placed by its neighbours.
    return frozenset(at for at in found if said[at].primitive)


def _loss(sources: Sources, said: Sequence[OpName], layers: Sequence[str | None]) -> frozenset[int]:
    """Find the ops of a loss that no scope names so, of a program with a backward pass."""
    backward = _in_phase(said, "backward")
    if not backward or not any(layers[at] for at in backward):
        return frozenset()
    forward = {at for at, each in enumerate(said) if each.differentiated} - backward
    return find_loss(sources, layers, forward, backward)


def _in_phase(said: Sequence[OpName], phase: str) -> frozenset[int]:
    return frozenset(at for at, each in enumerate(said) if each.phase == phase)


def _complete_op_names(nodes: Sequence[Node]) -> list[str]:
    """Return every node's op_name from the root on.

    Before optimisation JAX writes the op_names inside a called function relative to the call. What
    XLA calls by itself, it names after a loop.
    """
    containers: dict[str | None, str] = {}
    complete: list[str] = []
    for node in nodes:
        # A loop or branch inside the function is relative to the same call.
        container = containers.get(node.parent, "")
        op_name = node.instruction.op_name
        if container:
            op_name = qualify_op_name(op_name, container)
        if node.opcode in opcodes.CONTAINERS:
            called = op_name.removesuffix("/while") if node.opcode == "call" else ""
            containers[node.name] = called or container
        complete.append(op_name)
    return complete


def _attribute_containers(flow: Flow, attributions: list[Attribution]) -> None:
    """Place fusions, loops and calls by what they hold: their own op_name is only the last op's."""
    held: dict[int, list[Attribution]] = {}
    for at in reversed(range(len(attributions))):
        attributed = attributions[at]
        if at in held:
            shared = common(held[at])
            if shared.layer is not None:
                attributed = attributions[at] = shared
        around = flow.around[at]
        if around is not None and attributed.layer is not None:
            held.setdefault(around, []).append(attributed)


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
