"""Analyses that the presenters are shown: measured, not measured, without device, hostile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from edgegraph.results.analysis import Analysis
from tests import analyses


def noisy() -> Analysis:
    """Analyse with a measurement that cannot be trusted."""
    quiet = analyses.measured(analyses.gradient())
    assert quiet.latency is not None
    latency = replace(quiet.latency, verdict="NOISY", reasons=("it spreads over 30 %",))
    return replace(quiet, latency=latency)


def unknown() -> Analysis:
    """Analyse a program whose most expensive op has no known cost."""
    known = analyses.small_cnn(1)
    rows = tuple(
        replace(row, flops=None, macs=None, bytes_read=None, compute_time_s=None)
        if row.layer.endswith("conv2")
        else row
        for row in known.layer_records
    )
    return replace(
        known,
        layer_records=rows,
        totals=replace(known.totals, lower_bound=True),
        unpriced={"custom-call.1": "a custom call to <b>nobody</b>"},
    )


def empty() -> Analysis:
    """Analyse nothing: no op, no layer."""
    return replace(
        analyses.without_device(), op_records=(), layer_records=(), findings=(), memory=None
    )


MAKERS: dict[str, Callable[[], Analysis]] = {
    "forward": cache(lambda: analyses.small_cnn(32)),
    "measured": cache(lambda: analyses.measured(analyses.small_cnn(1))),
    "phases": cache(lambda: analyses.measured(analyses.gradient())),
    "conditions": cache(analyses.under_conditions),
    "noisy": cache(noisy),
    "without device": cache(analyses.without_device),
    "unknown": cache(unknown),
    "hostile": cache(analyses.hostile),
    "empty": cache(empty),
}


@pytest.fixture(params=MAKERS)
def analysis(request: pytest.FixtureRequest) -> Analysis:
    """Every kind of analysis in turn."""
    return MAKERS[request.param]()
