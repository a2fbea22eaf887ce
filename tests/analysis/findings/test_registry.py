"""What rules look at: kernels, shares, and what no verdict may rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import sentinel

import pytest

import edgegraph as eg
from edgegraph.analysis.findings import Evidence, find
from edgegraph.analysis.findings.registry import costly, work_of
from edgegraph.results.analysis import Analysis
from tests import analyses
from tests.analysis.findings import programs

CORPUS = ("cnn_train_step", "scanned_transformer_train_step", "nested_scans", "remat_gradient")


@pytest.mark.parametrize("name", CORPUS)
def test_the_kernels_hold_all_work_once(name: str) -> None:
    analysis = programs.from_corpus(f"real/{name}.optimized.pb.gz")
    evidence = Evidence(analysis)
    held = [op for kernel in evidence.kernels for op in costly(kernel)]
    totals = analysis.totals
    assert sum(map(work_of, held)) == totals.flops + totals.transcendentals
    assert len({op.name for op in held}) == len(held)


def test_a_loop_launches_what_stands_in_it() -> None:
    evidence = Evidence(programs.from_corpus("handwritten/tpu_while.hlo"))
    outer, inner = (op for op in evidence.analysis.op_records if op.opcode == "while")
    names = [kernel.name for kernel in evidence.kernels_in(outer)]
    assert set(names) == {"ib.next", "ib.y", "ic.less", "ob.next", "oc.less"}
    assert {k.name for k in evidence.kernels_in(inner)} == {"ib.next", "ib.y", "ic.less"}


def test_without_a_device_shares_are_of_bytes() -> None:
    analysis = eg.analyze(lambda x: x.T, args=(programs.array(64, 64),))
    (finding,) = (each for each in analysis.findings if each.rule == "layout-changes")
    assert "100 % of the bytes moved" in finding.seen
    assert finding.certainty == "low"


def traced(analysis: Analysis, verdict: str) -> Analysis:
    """Pretend that the times of the ops come from a trace."""
    return replace(
        analysis, op_trace=sentinel.trace, latency=analyses.latency(1e-3, verdict=verdict)
    )


SHARES: dict[str, Callable[[], Analysis]] = {
    "dtype-conversions": programs.conversion,
    "layout-changes": programs.transposition,
    "dominant-loop": lambda: programs.loop(100),
    "rematerialisation": programs.remat_gradient,
    "exposed-transfers": lambda: programs.from_text(programs.TRANSFER.format(rows=100)),
}


@pytest.mark.parametrize("rule", SHARES)
def test_no_share_rests_on_times_of_a_machine_that_was_not_still(rule: str) -> None:
    analysis = SHARES[rule]()
    assert rule in {each.rule for each in find(traced(analysis, "OK"))}
    assert rule not in {each.rule for each in find(traced(analysis, "NOISY"))}


def test_measured_shares_are_sure() -> None:
    found = find(traced(programs.transposition(), "OK"))
    (finding,) = (each for each in found if each.rule == "layout-changes")
    assert "100 % of the time;" in finding.seen
    assert finding.certainty == "high"
