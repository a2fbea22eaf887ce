"""Every rule has a program that shows what it finds, and one that must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from edgegraph.findings import RULES, find
from edgegraph.results.analysis import Analysis, Finding
from tests import analyses

NOISY = replace(analyses.latency(1e-3), verdict="NOISY", relative_iqr=0.15)


def found(analysis: Analysis, rule: str) -> list[Finding]:
    return [finding for finding in find(analysis) if finding.rule == rule]


def slow_layers() -> Analysis:
    """Every layer takes 100 ms: far under any roof."""
    return analyses.measured(analyses.small_cnn(32), 0.1)


def tiny() -> Analysis:
    """A call of 8 µs of which launching takes 5."""
    return replace(analyses.measured(analyses.small_cnn(1)), latency=analyses.latency(8e-6))


def slower_together() -> Analysis:
    base = analyses.measured(analyses.small_cnn(32))
    return replace(base, totals=replace(base.totals, time_s=9e-3))


def even() -> Analysis:
    base = analyses.measured(analyses.small_cnn(32))
    return replace(base, totals=replace(base.totals, time_s=5e-3))


def half_placed() -> Analysis:
    base = analyses.small_cnn(32)
    return replace(base, totals=replace(base.totals, flops_coverage=0.5))


CASES: dict[str, tuple[Callable[[], Analysis], Callable[[], Analysis]]] = {
    "memory-bound-dense": (lambda: analyses.small_cnn(1), lambda: analyses.small_cnn(256)),
    "compute-bound-layer": (lambda: analyses.small_cnn(32), analyses.memory_bound),
    "far-under-the-roof": (slow_layers, lambda: analyses.small_cnn(32)),
    "dispatch-bound": (tiny, slow_layers),
    "compiled-together": (slower_together, even),
    "noisy-machine": (
        lambda: replace(analyses.measured(analyses.small_cnn(32)), latency=NOISY),
        lambda: analyses.measured(analyses.small_cnn(32)),
    ),
    "unpriced-op": (analyses.unpriced, lambda: analyses.small_cnn(32)),
    "low-coverage": (half_placed, lambda: analyses.small_cnn(32)),
}


def test_every_rule_has_its_cases() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_where_it_should_and_only_there(rule: str) -> None:
    shows, must_not = CASES[rule]
    assert found(shows(), rule)
    assert not found(must_not(), rule)


def test_the_dense_layer_at_batch_1_is_told_with_its_numbers() -> None:
    (finding,) = found(analyses.small_cnn(1), "memory-bound-dense")
    assert finding.layer == "SmallCNN/dense1"
    # 2 x 3136 x 256 FLOP for 4 x 3136 x 256 bytes: half a FLOP per byte, and a little more read.
    assert finding.numbers["intensity_flops_per_byte"] == pytest.approx(0.5, rel=0.01)
    assert finding.numbers["ridge_point_flops_per_byte"] == 10
    assert finding.numbers["batch_at_ridge_point"] == pytest.approx(20, rel=0.01)
    assert "SmallCNN/dense1 is memory-bound" in finding.seen


def test_no_verdict_rests_on_a_noisy_measurement() -> None:
    noisy = replace(slow_layers(), latency=NOISY)
    assert {f.rule for f in find(noisy)}.isdisjoint({"far-under-the-roof", "compiled-together"})


def test_the_largest_share_comes_first() -> None:
    weights = [finding.weight for finding in find(analyses.small_cnn(32))]
    assert weights == sorted(weights, reverse=True)
