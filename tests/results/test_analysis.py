from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analyses import small_cnn, without_device


def test_totals_read_like_a_mapping_of_what_the_frame_names() -> None:
    totals = small_cnn().totals
    assert totals["macs"] == totals.macs
    assert len(totals) == len(list(totals)) == len(dict(totals))
    with pytest.raises(KeyError):
        totals["no_such"]


def test_the_graph_has_a_node_for_every_op_with_the_columns_of_its_row() -> None:
    analysis = small_cnn()
    rows = analysis.ops.set_index("name")
    assert set(analysis.graph) == set(rows.index)
    for name, attributes in analysis.graph.nodes(data=True):
        assert attributes["opcode"] == rows.loc[name, "opcode"]
        assert attributes["flops"] == rows.loc[name, "flops"]


def test_an_analysis_is_noted_with_its_totals_and_its_machine() -> None:
    analysis = small_cnn()
    notes, totals = analysis.run_notes(), analysis.totals
    assert notes.metrics["macs"] == totals.macs
    assert notes.metrics["bytes"] == totals.bytes_read + totals.bytes_written
    other = replace(analysis, environment=replace(analysis.environment, cores=999))
    assert other.run_notes().machine != notes.machine


def test_a_program_without_layers_has_typed_columns() -> None:
    some = without_device()
    none = replace(some, layer_records=(), op_records=())
    for name in ("layers", "ops", "what_if"):
        assert (getattr(none, name).dtypes == getattr(some, name).dtypes).all()
    assert none.layers[none.layers["leaf"]].empty
