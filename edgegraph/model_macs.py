"""The model's own MACs, put on the ops of a program that was compiled for another device.

Compilers for TPUs pad convolutions to the size of their matrix units and write small products as
other ops, so that the compiled ops multiply other numbers than the model asks for. What the model
asks for stands in the program before optimisation: it is counted there by layer and phase, and
spread over the compiled ops of that layer and phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from edgegraph.attribution import attribute
from edgegraph.bulk import bulk
from edgegraph.cost.custom_calls import price_custom_call
from edgegraph.cost.executions import count_executions
from edgegraph.cost.macs import macs
from edgegraph.cost.trips import trip_counts
from edgegraph.graph import flatten
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.records import OpRecord

LayerPhase = tuple[str | None, str]
"""Layer and phase."""


@bulk
def model_macs(before: Module) -> Mapping[LayerPhase, int] | None:
    """Count the MACs of a program before optimisation, by layer and phase.

    Args:
        before: The module before optimisation.

    Returns:
        None where they depend on the data: it has a conditional, a loop of unknown length, or a
        call whose MACs are not known.
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
    """Spread the model's MACs over the compiled ops.

    Every layer's MACs go to its products in the same phase, in proportion to their FLOPs; where
    the compiler left no product there, to its other ops; where it left none at all, to those of
    the layer around it. The sum stays the model's, exactly.

    Args:
        records: Of the compiled ops, containers before their contents.
        wanted: What `model_macs` returned.
    """
    tree = OpTree(records)
    work = [record for record in tree.leaves if record.flops]
    products: dict[LayerPhase, list[OpRecord]] = {}
    others: dict[LayerPhase, list[OpRecord]] = {}
    for record in work:
        group = products if record.macs else others
        group.setdefault((record.layer, record.phase), []).append(record)
    parts: dict[str, int] = {}
    for layer_phase, amount in wanted.items():
        ops = _ops_of(layer_phase, products, others) or work
        for op, part in zip(ops, _distribute(amount, [op.flops or 0 for op in ops]), strict=True):
            parts[op.name] = parts.get(op.name, 0) + part
    sums: dict[str, int] = {}
    for record in reversed(records):
        own = (parts if tree.is_leaf(record) else sums).get(record.name, 0)
        sums[record.name] = own
        if record.parent is not None:
            sums[record.parent] = sums.get(record.parent, 0) + own
    return tuple(replace(record, macs=sums[record.name]) for record in records)


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
    """Split an amount by weights; what rounding leaves goes to the largest remainders.

    >>> _distribute(10, [1, 1, 1])
    [4, 3, 3]
    """
    total = sum(weights)
    parts = [amount * weight // total for weight in weights]
    left = amount - sum(parts)
    remainders = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in remainders[:left]:
        parts[i] += 1
    return parts
