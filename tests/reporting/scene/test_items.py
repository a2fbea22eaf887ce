"""The ops of an analysis as the drawing takes them."""

from __future__ import annotations

from edgegraph.hlo import opcodes
from edgegraph.reporting.scene.items import ops_of
from tests.reporting.conftest import MAKERS


def test_operands_are_those_of_the_graph() -> None:
    analysis = MAKERS["phases"]()
    names = [record.name for record in analysis.op_records]
    read = {
        name: [names[o] for o in item.operands]
        for name, item in zip(names, ops_of(analysis).items, strict=True)
    }
    for name in names:
        edges = sorted(analysis.graph.in_edges(name, keys=True), key=lambda edge: edge[2])
        assert read[name] == [source for source, _, _ in edges]


def test_a_fusions_parameters_lead_to_what_it_reads() -> None:
    analysis = MAKERS["forward"]()
    ops = ops_of(analysis)
    checked = 0
    for number, node in enumerate(ops.nodes):
        parent = ops.items[number].parent
        if node.instruction.opcode == "parameter" and parent is not None:
            at = node.instruction.parameter_number
            assert at is not None
            assert ops.outer[number] == ops.items[parent].operands[at]
            checked += 1
    assert checked


def test_ops_count_to_leaf_rows() -> None:
    analysis = MAKERS["phases"]()
    counted = [0] * len(analysis.layer_records)
    ops = ops_of(analysis)
    containers = {item.parent for item in ops.items}
    for number, row in enumerate(ops.rows):
        works = analysis.op_records[number].opcode not in opcodes.FREE
        if number not in containers and works:
            assert row is not None
            counted[row] += 1
    for record, count in zip(analysis.layer_records, counted, strict=True):
        assert count == (record.ops if record.leaf else 0)
