"""Shares of layers timed alone and in the trace, made up by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from edgegraph.analysis.shares import shares_note
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.records import LayerRecord
from edgegraph.results.timing import Latency, LayerLatency
from tests import analyses
from tests.results.test_op_trace import TRACE

NAMES = ("Net/a", "Net/b")


def rows(*traced_s: float) -> list[LayerRecord]:
    """Return two layers, each of which takes 1 ms alone."""
    leaf = next(row for row in analyses.measured(analyses.small_cnn(1)).layer_records if row.leaf)
    return [
        replace(leaf, layer=name, time_s=1e-3, time_source="measured", traced_time_s=traced)
        for name, traced in zip(NAMES, traced_s, strict=True)
    ]


def alone(relative_iqr: float = 0.03) -> list[LayerLatency]:
    took = replace(analyses.latency(1e-3 + 5e-6), relative_iqr=relative_iqr, interval_s=None)
    return [LayerLatency(layer=name, phase="forward", latency=took) for name in NAMES]


def trace(*ops_s: float) -> OpTrace:
    """Return a trace whose runs took these times for their ops."""
    run = TRACE.runs[0]
    return replace(TRACE, runs=tuple(structs.replace(run, ops_s=time_s) for time_s in ops_s))


WHOLE, STILL = analyses.latency(2e-3), trace(2e-3, 2e-3, 2e-3)


def test_what_contradicts_itself_is_named_with_both_shares() -> None:
    note = shares_note(rows(0.3e-3, 1.7e-3), WHOLE, alone(), STILL)
    assert note is not None
    assert "Net/a 50 % alone, 15 % in the trace; Net/b 50 % alone, 85 % in the trace." in note


@pytest.mark.parametrize(
    ("traced_s", "latency", "relative_iqr", "runs"),
    [
        ((0.9e-3, 1.1e-3), WHOLE, 0.03, STILL),  # 45 % is near enough to 50 %
        # An interquartile range of 80 % of each alone, or of the traced calls, explains 35 %.
        ((0.3e-3, 1.7e-3), WHOLE, 0.8, STILL),
        ((0.3e-3, 1.7e-3), WHOLE, 0.03, trace(1e-3, 1e-3, 2e-3, 9e-3, 9e-3)),
        ((0.3e-3, 1.7e-3), replace(WHOLE, verdict="NOISY"), 0.03, STILL),
        ((0.3e-3, 1.7e-3), WHOLE, 0.03, None),
    ],
)
def test_what_the_noise_explains_is_no_contradiction(
    traced_s: tuple[float, float], latency: Latency, relative_iqr: float, runs: OpTrace | None
) -> None:
    assert shares_note(rows(*traced_s), latency, alone(relative_iqr), runs) is None
