"""Loops, transfers and work done twice, with their numbers by hand."""

from __future__ import annotations

import pytest

from tests.analysis.findings import programs
from tests.analysis.findings.test_data import only, rules


def test_a_loop_of_short_kernels_is_to_be_unrolled() -> None:
    finding = only(programs.loop(100), "dominant-loop")
    assert finding.numbers["iterations"] == 100
    assert "unroll" in finding.try_next
    assert finding.weight == pytest.approx(finding.numbers["share"])


def test_a_loop_of_long_kernels_is_as_good_as_its_body() -> None:
    # 4 Mi values read and written at 10 MB/s: 3.4 s for each of the sines.
    finding = only(programs.loop(100, width=4 << 20), "dominant-loop")
    assert finding.numbers["iteration_s"] == pytest.approx(8 * (4 << 20) / 10e6, rel=0.01)
    assert "make one iteration faster" in finding.try_next
    assert finding.weight == 0


def test_one_iteration_is_no_loop() -> None:
    assert "dominant-loop" not in rules(programs.loop(1))


def test_of_nested_loops_the_innermost_is_told() -> None:
    # 5 trips around a loop of 3.
    finding = only(programs.from_corpus("handwritten/tpu_while.hlo"), "dominant-loop")
    assert "the loop inner takes" in finding.seen
    assert finding.numbers["iterations"] == 15
    assert finding.numbers["kernels"] == 3


def test_a_loop_of_unknown_length_dominates_with_one_iteration_already() -> None:
    name = "real/data_dependent_loop.optimized.pb.gz"
    finding = only(programs.from_corpus(name), "dominant-loop")
    assert "an unknown number of iterations" in finding.seen
    assert "iterations" not in finding.numbers


def test_a_transfer_is_exposed_by_what_the_compute_beside_it_does_not_hide() -> None:
    finding = only(programs.from_text(programs.TRANSFER.format(rows=100)), "exposed-transfers")
    # 4 MB read and written at 10 MB/s, beside 0.4 MB read and written in a cache at 100 MB/s.
    assert finding.numbers["exposed_s"] == pytest.approx(800e-3 - 8e-3)
    assert finding.numbers["makespan_s"] == pytest.approx(800e-3)
    assert finding.weight == pytest.approx(0.99)


def test_who_waits_behind_a_longer_transfer_does_not_take_the_blame() -> None:
    text = """
HloModule m, is_scheduled=true

ENTRY e {
  x = f32[1000,1000] parameter(0)
  y = f32[8] parameter(1)
  long = (f32[1000,1000], f32[1000,1000], u32[]) copy-start(x)
  short = (f32[8], f32[8], u32[]) copy-start(y)
  got.short = f32[8] copy-done(short)
  a = f32[8] negate(got.short)
  got.long = f32[1000,1000] copy-done(long)
  ROOT r = (f32[1000,1000], f32[8]) tuple(got.long, a)
}
"""
    finding = only(programs.from_text(text), "exposed-transfers")
    assert "longest for the copy short, the copy long being the longest beside it" in finding.seen
    assert "8 MB take 800 ms" in finding.seen


def test_a_gather_with_nothing_beside_it_is_exposed_however_fast_the_network_is() -> None:
    finding = only(
        programs.from_corpus("handwritten/gpu_all_gather_async.hlo"), "exposed-transfers"
    )
    # Of 4 devices, each sends its quarter of bf16[128,256] to the three others.
    assert finding.numbers["bytes"] == 3 * 128 * 256 * 2 / 4
    assert finding.certainty == "high"


def test_what_jax_checkpoint_computes_again_is_told() -> None:
    finding = only(programs.remat_gradient(), "rematerialisation")
    assert "jax.checkpoint" in finding.seen
    # Two blocks of 4 x 16 tanh each, and what of the products and biases is needed again.
    assert finding.numbers["operations"] >= 2 * 4 * 16


def test_what_xla_computes_again_is_told() -> None:
    finding = only(programs.from_text(programs.REMATERIALISED), "rematerialisation")
    assert finding.numbers["ops"] == 1
    assert finding.numbers["operations"] == 64 * 128
    assert "XLA computes them again" in finding.seen
