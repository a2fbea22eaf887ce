from __future__ import annotations

import pytest

from edgegraph.errors import InputError
from edgegraph.results.records import LAYER_COLUMNS, OP_COLUMNS
from tests import analyses

# The published names, in the published order; more may follow them.
OPS = (
    "name opcode layer phase parent executions macs flops transcendentals bytes_read"
    " bytes_written intensity_flops_per_byte compute_time_s memory_time_s bound time_s"
    " time_source source"
)
LAYERS = (
    "layer phase ops params param_bytes macs flops transcendentals bytes_read bytes_written"
    " intensity_flops_per_byte compute_time_s memory_time_s bound time_s time_source share"
    " efficiency"
)


def test_columns_are_the_published_ones() -> None:
    analysis = analyses.small_cnn()
    assert list(analysis.ops.columns) == list(OP_COLUMNS)
    assert list(analysis.layers.columns) == list(LAYER_COLUMNS)
    assert " ".join(OP_COLUMNS).startswith(OPS)
    assert " ".join(LAYER_COLUMNS).startswith(LAYERS)


def test_small_cnn_by_layer() -> None:
    layers = analyses.small_cnn(32).layers.set_index("layer")
    assert layers.macs.to_dict() == {
        "SmallCNN": 148_602_880,
        "SmallCNN/conv1": 7_225_344,
        "SmallCNN/conv2": 115_605_504,
        "SmallCNN/dense1": 25_690_112,
        "SmallCNN/dense2": 81_920,
        "SmallCNN/(own)": 0,
    }
    assert layers.params.to_dict() == {
        "SmallCNN": 824_458,
        "SmallCNN/conv1": 3 * 3 * 1 * 32 + 32,
        "SmallCNN/conv2": 3 * 3 * 32 * 64 + 64,
        "SmallCNN/dense1": 3136 * 256 + 256,
        "SmallCNN/dense2": 256 * 10 + 10,
        "SmallCNN/(own)": 0,
    }


def test_unknown_is_missing_and_counts_are_exact_integers() -> None:
    analysis = analyses.without_device()
    assert analysis.layers.time_s.isna().all()
    assert str(analysis.layers.flops.dtype) == "Int64"
    assert str(analysis.ops.flops.dtype) == "Int64"


def test_totals_read_like_a_mapping() -> None:
    totals = analyses.small_cnn(32).totals
    assert totals["flops"] == 278_659_392
    assert dict(totals)["macs"] == 148_602_880
    assert totals["flops"] == totals.xla_flops


def test_the_graph_carries_the_frame() -> None:
    analysis = analyses.small_cnn(32)
    graph, frame = analysis.graph, analysis.ops.set_index("name")
    assert set(graph) == set(frame.index)
    assert {n: graph.nodes[n]["flops"] for n in graph} == frame.flops.to_dict()


def test_an_analysis_says_what_it_is_in_one_line_and_in_a_notebook() -> None:
    analysis = analyses.small_cnn(32)
    assert repr(analysis).startswith("<Analysis small_cnn, batch 32, cpu: ")
    assert "SmallCNN/conv1" in analysis._repr_html_()
    assert analyses.HOSTILE not in analyses.hostile()._repr_html_()


def test_an_analysis_draws_its_plots() -> None:
    analysis = analyses.small_cnn(32)
    assert analysis.plot().get_xlabel().startswith("arithmetic intensity (FLOP/byte)")
    with pytest.raises(InputError, match="'pie' shows another kind of result than this analysis"):
        analysis.plot("pie")
