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
from edgegraph.hlo.parameters import model_arguments, module_paths
from edgegraph.hlo.sources import Sources
from edgegraph.results.records import OpRecord


@bulk
def attribute(nodes: Sequence[Node], flow: Flow | None = None) -> Mapping[str, Attribution]:
    """Find layer and phase of every node; a container belongs to what its ops have in common.

    `flow` is that of the nodes, where it is known already.
    """
    arguments = model_arguments(nodes)
    modules = module_paths(arguments.parameters.values())
    op_names = without_functions(_complete_op_names(nodes))
    said = {name: parse_op_name(op_name, modules) for name, op_name in op_names.items()}
    sources = Sources(nodes)
    updates = _updates(nodes, sources, said, arguments.held)
    parameters = arguments.parameters
    layers = {
        name: OPTIMIZER_SCOPE if each.layer is None and name in updates else each.layer
        for name, each in said.items()
    }
    instances, gradients = name_instances(nodes, layers, parameters)
    layers |= instances
    phases = {name: "update" if name in updates else each.phase for name, each in said.items()}
    if "backward" in phases.values():  # a weight gradient that XLA wrote anew has no name
        phases |= {name: "backward" for name in gradients if not said[name].primitive}
    layers |= dict.fromkeys(_loss(nodes, sources, said, layers), LOSS_SCOPE)
    attributions = {
        name: Attribution(layer=layer, phase=phases[name]) for name, layer in layers.items()
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
    unnamed = opcodes.FREE | opcodes.CONTAINERS
    named = {
        node.name for node in nodes if node.opcode not in unnamed and said[node.name].primitive
    }
    attribute_by_neighbours(nodes, attributions, certain, named, flow)
    _attribute_containers(nodes, attributions)
    return attributions


@bulk
def attribute_frames(
    nodes: Sequence[Node], module: Module, flow: Flow | None = None
) -> Mapping[str, int]:
    """Find the stack frame that every node stands in, of those of which anything is known.

    One that says nothing is placed by its neighbours, as in a layer: in the frame around theirs.
    """
    if not module.stack_frames:
        return {}
    paths = CallPaths(module)

    numbers = {node.name: node.instruction.stack_frame_id for node in nodes}
    places = {
        number: Attribution(layer="/".join(map(str, paths.of(number))) or None, phase="forward")
        for number in set(numbers.values())
    }
    attributions = {name: places[number] for name, number in numbers.items()}
    attribute_by_neighbours(nodes, attributions, (), (), flow)
    return {
        name: int(each.layer.rpartition("/")[2])
        for name, each in attributions.items()
        if each.layer is not None
    }


def _updates(
    nodes: Sequence[Node], sources: Sources, said: Mapping[str, OpName], held: Collection[str]
) -> frozenset[str]:
    """Name the ops of a training step's update that no scope names so."""
    backward = _in_phase(said, "backward")
    if not backward or not updates_something(nodes, held):
        return frozenset()
    differentiated = {name for name, each in said.items() if each.differentiated}
    layers = {said[name].layer for name in differentiated} - {None}
    others = {name for name, each in said.items() if each.layer in layers}
    found = find_updates(nodes, sources, backward, differentiated | others)
    # What says nothing of itself, such as a copy of a gradient, is placed by its neighbours.
    return frozenset(name for name in found if said[name].primitive)


def _loss(
    nodes: Sequence[Node],
    sources: Sources,
    said: Mapping[str, OpName],
    layers: Mapping[str, str | None],
) -> frozenset[str]:
    """Name the ops of a loss that no scope names so, of a program with a backward pass."""
    backward = _in_phase(said, "backward")
    if not backward or not any(layers[name] for name in backward):
        return frozenset()
    forward = {name for name, each in said.items() if each.differentiated} - backward
    return find_loss(nodes, sources, layers, forward, backward)


def _in_phase(said: Mapping[str, OpName], phase: str) -> frozenset[str]:
    return frozenset(name for name, each in said.items() if each.phase == phase)


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
            shared = common(held[node.name])
            if shared.layer is not None:
                attributed = attributions[node.name] = shared
        if node.parent is not None and attributed.layer is not None:
            held.setdefault(node.parent, []).append(attributed)


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
