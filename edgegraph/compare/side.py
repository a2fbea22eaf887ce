"""One of two modules that are compared: its ops, what they do, and what stands around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.identity import Label, Labels
from edgegraph.hlo.op_name import scope_of
from edgegraph.hlo.op_tree import OpTree
from edgegraph.hlo.parameters import model_arguments
from edgegraph.results.analysis import Analysis, OpRecord

_COSTS = (
    "executions", "macs", "flops", "transcendentals", "bytes_read", "bytes_written", "wire_bytes",
)  # fmt: skip

LayerPhase = tuple[int, str]
"""Number of the aligned layer, and the phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The ops of one module that are compared: all but those inside fusions.

    All lists go by the op's position, in the order of execution.

    Attributes:
        inside: Ops inside a fusion that hold no others, by the fusion's name.
        users: Operand position and position of every user.
        layer_phases: Where they stand in the aligned models, whose layers have `numbers`.
        own, deep: What they do, as `Label` has it, and what they cost.
        kinds: Their opcode, and the opcodes inside a fusion.
    """

    nodes: Sequence[Node]
    records: Mapping[str, OpRecord]
    inside: Mapping[str, Sequence[Node]]
    operands: Sequence[tuple[int, ...]]
    users: Sequence[Sequence[tuple[int, int]]]
    layer_phases: Sequence[LayerPhase]
    own: Sequence[int]
    deep: Sequence[int]
    kinds: Sequence[int]
    numbers: Mapping[str, int]

    def record(self, position: int) -> OpRecord:
        """Return the record of an op."""
        return self.records[self.nodes[position].name]

    def primitives(self, position: int) -> Sequence[Node]:
        """Return the ops a kernel consists of; insignificant ones only if there are no others."""
        node = self.nodes[position]
        inner = self.inside.get(node.name, (node,))
        return [each for each in inner if each.opcode not in opcodes.SLIGHT] or inner

    def layer_phase_of(self, node: Node) -> LayerPhase:
        """Return the aligned layer and the phase of any op."""
        record = self.records[node.name]
        return self.numbers[scope_of(record.layer)], record.phase


def make_side(
    analysis: Analysis, found: Mapping[str, Label], labels: Labels, numbers: Mapping[str, int]
) -> Side:
    """Gather what is compared of an analysis; `found` says what its instructions do, by name."""
    records = {record.name: record for record in analysis.op_records}
    tree = OpTree(flatten(analysis.module))
    nodes = tree.outside
    inside = {k.name: k.leaves for k in tree.kernels if k.head.opcode == "fusion"}
    index = {node.name: position for position, node in enumerate(nodes)}
    operands = [tuple(index[name] for name in node.operands) for node in nodes]
    users: list[list[tuple[int, int]]] = [[] for _ in nodes]
    for position, taken in enumerate(operands):
        for slot, operand in enumerate(taken):
            users[operand].append((slot, position))
    where = {path: labels.of(("layer", number)) for path, number in numbers.items()}
    layer_phases = [
        (where[scope_of(records[node.name].layer)], records[node.name].phase) for node in nodes
    ]
    extra = _extra(nodes, layer_phases, records, found)
    return Side(
        nodes=nodes,
        records=records,
        inside=inside,
        operands=operands,
        users=users,
        layer_phases=layer_phases,
        own=[
            labels.of((found[node.instruction.name].own, more))
            for node, more in zip(nodes, extra, strict=True)
        ],
        deep=[
            labels.of((found[node.instruction.name].deep, more))
            for node, more in zip(nodes, extra, strict=True)
        ],
        kinds=[labels.of(_kind(node, inside.get(node.name, ()))) for node in nodes],
        numbers=where,
    )


def _extra(
    nodes: Sequence[Node],
    layer_phases: Sequence[LayerPhase],
    records: Mapping[str, OpRecord],
    found: Mapping[str, Label],
) -> list[Hashable]:
    """Return what distinguishes ops of one label: costs, and the order of equal parameters."""
    parameters = sorted(
        (
            (node.instruction.parameter_number or 0, position)
            for position, node in enumerate(nodes)
            if node.opcode == "parameter" and node.parent is None
        )
    )
    owned = model_arguments(nodes).parameters
    ordinals: dict[int, int] = {}
    seen: Counter[Hashable] = Counter()
    for _, position in parameters:
        node = nodes[position]
        # Whether it is one of the model's own, whose layer its name tells.
        key = layer_phases[position], found[node.instruction.name].own, node.name in owned
        ordinals[position] = seen[key]
        seen[key] += 1
    return [
        ("parameter", ordinals[position]) if position in ordinals else costs_of(records[node.name])
        for position, node in enumerate(nodes)
    ]


def costs_of(record: OpRecord) -> tuple[int | None, ...]:
    """Return what an op costs; of one that holds others, how often it runs."""
    if record.opcode in opcodes.CALLERS:
        return (record.executions,)
    return tuple(getattr(record, name) for name in _COSTS)


def _kind(node: Node, inside: Sequence[Node]) -> Hashable:
    instruction = node.instruction
    inner = Counter(each.opcode for each in inside)
    return (
        instruction.opcode,
        instruction.fusion_kind,
        instruction.custom_call_target,
        instruction.tuple_index,
        len(instruction.shape.dimensions) if instruction.opcode == "parameter" else None,
        tuple(sorted(inner.items())),
    )


def upwards(side: Side, seeds: Sequence[int], labels: Labels) -> list[int]:
    """Label every op by its seed and all that it is computed from."""
    found: list[int] = []
    for seed, operands in zip(seeds, side.operands, strict=True):
        found.append(labels.of((seed, tuple([found[operand] for operand in operands]))))
    return found


def downwards(side: Side, seeds: Sequence[int], labels: Labels) -> list[int]:
    """Label every op by its seed and all that is computed from it."""
    found = [0] * len(seeds)
    for position in range(len(seeds) - 1, -1, -1):
        users = sorted([(slot, found[user]) for slot, user in side.users[position]])
        found[position] = labels.of((seeds[position], "down", tuple(users)))
    return found
