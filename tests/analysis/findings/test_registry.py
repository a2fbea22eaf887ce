"""What rules look at: kernels, shares, and what no verdict may rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import sentinel

import pytest

import edgegraph as eg
from edgegraph.analysis.findings import RULES, Evidence, find
from edgegraph.analysis.findings.registry import costly, work_of
from edgegraph.errors import InputError
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


@pytest.fixture(autouse=True)
def _rules_of_before() -> Iterator[None]:
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def finding(rule: str, weight: float = 0.0) -> eg.Finding:
    return eg.Finding(
        rule=rule, layer=None, seen="", why="", try_next="", numbers={}, certainty="high",
        weight=weight,
    )  # fmt: skip


def test_a_rule_of_ones_own_runs_with_every_analysis() -> None:
    @eg.register_finding("mine")
    def mine(evidence: eg.Evidence) -> Iterator[eg.Finding]:
        assert evidence.analysis.findings == ()
        assert evidence.module.name == "jit__lambda"
        yield finding("mine")

    analysis = analyses.memory_bound()
    assert [each.rule for each in analysis.findings].count("mine") == 1


def test_it_takes_the_place_of_one_with_the_same_name() -> None:
    @eg.register_finding("compute-bound-layer")
    def always(evidence: eg.Evidence) -> list[eg.Finding]:
        return [finding("compute-bound-layer", weight=2.0)]

    first, *others = find(analyses.small_cnn(32))
    assert first.weight == 2.0
    assert "compute-bound-layer" not in {other.rule for other in others}


def test_a_finding_under_another_name_is_refused() -> None:
    eg.register_finding("mine")(lambda evidence: [finding("yours")])
    with pytest.raises(InputError, match="rule 'mine' returned a finding of rule 'yours'"):
        find(analyses.small_cnn(1))


@pytest.mark.parametrize("name", ["", " ", None, len])
def test_a_rule_needs_a_name(name: Any) -> None:
    with pytest.raises(InputError, match="register_finding got the name"):
        eg.register_finding(name)
