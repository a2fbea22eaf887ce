"""What is told of single layers, with figures by hand."""

from __future__ import annotations

import pytest
from flax import linen as nn

import edgegraph as eg
from edgegraph.analysis.findings import find
from edgegraph.results.analysis import Analysis, Finding
from tests import analyses
from tests.analysis.findings import programs as shown


def found(analysis: Analysis, rule: str) -> list[Finding]:
    return [finding for finding in find(analysis) if finding.rule == rule]


def test_the_dense_layer_at_batch_1_is_told_with_its_numbers() -> None:
    (finding,) = found(analyses.small_cnn(1), "memory-bound-dense")
    assert finding.layer == "SmallCNN/dense1"
    # 2 x 3136 x 256 FLOP for 4 x 3136 x 256 bytes: half a FLOP per byte, and a little more read.
    assert finding.numbers["intensity_flops_per_byte"] == pytest.approx(0.5, rel=0.01)
    assert finding.numbers["ridge_point_flops_per_byte"] == 10
    # At batch b, 2 b x 3136 x 256 FLOP for 4 (3136 x 256 + 256 + b (3136 + 2 x 256)) bytes or
    # a little less: 10 FLOP per byte from about b = 22 on.
    assert finding.numbers["batch_at_ridge_point"] == pytest.approx(22, rel=0.02)
    assert "SmallCNN/dense1 is memory-bound" in finding.seen


def test_a_batch_that_brings_its_own_bytes_reaches_no_ridge_point() -> None:
    # An input of 2 and an output of 2 values: 16 bytes of its own, for 8 FLOP and the bias.
    dense = eg.Workload.from_flax(nn.Dense(2), input_shape=(2,))
    many = eg.analyze(dense, batch=20_000, device=analyses.DEVICE)
    (finding,) = found(many, "memory-bound-dense")
    assert "batch_at_ridge_point" not in finding.numbers
    assert "does not reach the ridge point" in finding.try_next


def test_many_small_layers_are_told_together() -> None:
    network = nn.Sequential([nn.Dense(256, use_bias=False) for _ in range(20)])
    workload = eg.Workload.from_flax(network, input_shape=(256,))
    (finding,) = found(eg.analyze(workload, batch=1, device=analyses.DEVICE), "memory-bound-dense")
    assert finding.layer is None
    assert finding.numbers["layers"] == 20
    # 20 x 256 x 256 weights of 4 bytes from a cache of 100 GB/s, and a little for the activations.
    assert finding.numbers["memory_time_s"] == pytest.approx(20 * 4 * 256**2 / 100e9, rel=0.02)
    assert finding.weight == pytest.approx(1)


def test_what_a_tpu_multiplies_as_a_convolution_is_dense_all_the_same() -> None:
    text = """
HloModule m

ENTRY e {
  x = f32[1,256] parameter(0)
  w = f32[256,256] parameter(1)
  ROOT c = f32[1,256] convolution(x, w), dim_labels=bf_io->bf,
    metadata={op_name="jit(f)/dense/dot_general"}
}
"""
    assert found(shown.from_text(text), "memory-bound-dense")
    assert not found(shown.from_text(text.replace("dot_general", "conv")), "memory-bound-dense")
