"""What passes, what fails and who did it."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from math import hypot
from typing import Any

import pytest
from flax import linen as nn
from rich.console import Console

import edgegraph as eg
from edgegraph.compare.diff import subject
from edgegraph.errors import InputError
from edgegraph.gate.gate import Check, Culprit, GateResult, gate_table, headline, lines, markdown
from edgegraph.results.analysis import Analysis
from tests import analyses
from tests.compare.networks import analysis


def only(result: eg.GateResult) -> Check:
    (check,) = result.checks
    return check


def test_a_layer_that_grew_fails_and_is_named() -> None:
    result = eg.check(analysis(kernel=5), baseline=analysis(), max_macs="+1%")
    assert not result.passed
    (culprit,) = only(result).culprits
    assert (culprit.layer, culprit.before, culprit.after) == ("Net/conv2", 294_912, 819_200)
    assert "MACs, grew: Net/conv2 295 kMAC → 819 kMAC (+178 %)" in str(result)


def test_what_is_the_same_or_less_passes() -> None:
    assert eg.check(analysis(), baseline=analysis(), max_flops="+0", max_kernels="+0").passed
    assert eg.check(analysis(), baseline=analysis(kernel=5), max_flops="+0").passed
    assert not eg.check(analysis(), baseline=analysis(), max_flops="-1%").passed


def test_the_limits_without_any_are_those_of_the_documentation() -> None:
    result = eg.check(analysis(), baseline=analysis())
    assert {check.metric: check.limit for check in result.checks} == {
        "flops": "+1%", "bytes": "+2%", "peak_memory": "+5%",
    }  # fmt: skip


def test_a_limit_of_its_own_names_the_largest_layers() -> None:
    result = eg.check(analysis(), max_macs="100kMAC")
    assert [each.layer for each in only(result).culprits[:2]] == ["Net/conv2", "Net/conv1"]
    assert "MACs, largest: Net/conv2 295 kMAC; " in str(result)


def test_of_many_layers_five_are_named() -> None:
    network = nn.Sequential([nn.Dense(4) for _ in range(7)])
    deep = eg.analyze(eg.Workload.from_flax(network, input_shape=(4,)), stage="lowered")
    culprits = only(eg.check(deep, max_params="1")).culprits
    assert [each.after for each in culprits] == 5 * [4 * 4 + 4]


def test_kernels_that_came_are_named_by_layer() -> None:
    result = eg.check(
        analysis(normalised=True, fused=False), baseline=analysis(normalised=True), max_kernels="+0"
    )
    layers = {culprit.layer for culprit in only(result).culprits}
    assert "Net/bn" in layers
    assert only(result).before == 7


def timed(seconds: float, verdict: str = "OK", machine: str = "one") -> Analysis:
    known = analysis()
    return replace(
        known,
        latency=analyses.latency(seconds, verdict=verdict),
        environment=replace(known.environment, processor=machine),
    )


# The middle half spreads over 3 %: at a limit of +5 % the noise is 3 % of the one, 3.15 % of the
# other, together 4.4 % or a little more.
@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(1.0, "passed"), (1.05, "passed"), (1.08, "undecided"), (1.2, "failed")],
)
def test_a_latency_fails_beyond_its_noise_only(seconds: float, verdict: str) -> None:
    result = eg.check(timed(seconds), baseline=timed(1.0), max_latency="+5%")
    assert only(result).verdict == verdict
    assert result.passed == (verdict != "failed")
    # The limit grows with the baseline, and so does the baseline's part of the noise.
    assert only(result).noise == pytest.approx(hypot(0.03 * seconds, 1.05 * 0.03))


@pytest.mark.parametrize(
    ("after", "before", "said"),
    [
        ((9.0, "NOISY"), (1.0,), "the measurement is NOISY"),
        ((9.0,), (1.0, "INVALID"), "the baseline's measurement is INVALID"),
        ((9.0,), (1.0, "OK", "two"), "measured on another machine: two"),
        (None, (1.0,), "what is checked was not measured"),
        ((9.0,), None, "the baseline was not measured"),
    ],
    ids=["noisy", "noisy baseline", "another machine", "not measured", "baseline not measured"],
)
def test_what_cannot_be_told_is_undecided(
    after: tuple[Any, ...] | None, before: tuple[Any, ...] | None, said: str
) -> None:
    one, other = (analysis() if each is None else timed(*each) for each in (after, before))
    result = eg.check(one, baseline=other, max_latency="+5%")
    assert only(result).verdict == "undecided"
    assert said in (only(result).reason or "")
    assert result.passed
    assert said in str(result)


def test_a_limit_of_its_own_needs_no_baseline_measured() -> None:
    assert only(eg.check(timed(1.0), baseline=analysis(), max_latency="2s")).verdict == "passed"
    assert only(eg.check(timed(3.0), max_latency="2s")).verdict == "failed"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_flops": "+1%"}, "needs a baseline"),
        ({"flops": "1GFLOP"}, "'flops' is not a limit; choose from: max_flops"),
        ({"max_colour": "1"}, "'max_colour' is not a limit"),
    ],
)
def test_bad_input_is_named(limits: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        eg.check(analysis(), **limits)


def test_a_baseline_of_another_batch_is_refused() -> None:
    with pytest.raises(InputError, match="the baseline is of batch 8, and what is checked"):
        eg.check(replace(analysis(), batch=4), baseline=replace(analysis(), batch=8))


def test_another_version_of_the_compiler_is_told() -> None:
    known = analysis()
    older = replace(known, environment=replace(known.environment, jaxlib="0.1"))
    assert "compiled by jaxlib 0.1" in eg.check(known, baseline=older).notes[0]


GREW = Culprit(layer="Net/conv2", phase="backward", before=100, after=150)
NEW = Culprit(layer="Net/a|b", phase="forward", before=None, after=10)
FAILED = Check(
    metric="flops", unit="FLOP", limit="+1%", before=100, after=160, allowed=101.0,
    verdict="failed", culprits=(GREW, NEW),
)  # fmt: skip
UNDECIDED = Check(
    metric="latency", unit="s", limit="+5%", before=1e-3, after=1.1e-3, allowed=1.05e-3,
    noise=1e-4, verdict="undecided", reason="it lies beyond the limit by less than the noise",
)  # fmt: skip
PASSED = Check(
    metric="ops", unit="", limit="2000", before=None, after=1234, allowed=2000, verdict="passed"
)


def result(*checks: Check) -> GateResult:
    now = subject(analysis())
    return GateResult(before=now, after=now, checks=checks, notes=("another compiler",))


def test_the_headline_names_what_failed_and_what_is_open() -> None:
    assert headline(result(PASSED)) == "net, cpu: passed"
    assert headline(result(FAILED, UNDECIDED)) == "net, cpu: failed (FLOPs), undecided: latency"


def test_lines_tell_every_limit_and_what_broke_it() -> None:
    assert lines(result(FAILED, UNDECIDED, PASSED)) == [
        "net, cpu: failed (FLOPs), undecided: latency",
        "  failed: FLOPs 100 FLOP → 160 FLOP (+60 %), limit +1%",
        "  undecided: latency 1 ms → 1.1 ms (+10 %), limit +5%",
        "  passed: ops 1,234, limit 2000",
        "  FLOPs, grew: Net/conv2 (backward) 100 FLOP → 150 FLOP (+50 %); Net/a|b 10 FLOP (new)",
        "  latency: it lies beyond the limit by less than the noise",
        "  another compiler",
    ]


def test_without_a_baseline_the_largest_are_named() -> None:
    alone = replace(FAILED, before=None, culprits=(NEW,))
    (said,) = [line for line in lines(replace(result(alone), before=None)) if "largest" in line]
    assert said == "  FLOPs, largest: Net/a|b 10 FLOP"


def test_the_table_has_a_row_for_every_limit_within_80_columns() -> None:
    console = Console(width=80, file=StringIO(), record=True)
    console.print(gate_table(result(FAILED, UNDECIDED, PASSED)))
    shown = console.export_text().splitlines()
    assert max(map(len, shown)) <= 80
    (row,) = [line.split() for line in shown if " 160 " in line]
    assert row == ["FLOPs", "100", "FLOP", "160", "FLOP", "+60", "%", "+1%", "failed"]


def test_markdown_has_a_row_for_every_limit_and_escapes_names() -> None:
    text = markdown(result(FAILED, PASSED))
    assert "| limit of | before | after | change | limit | verdict |" in text
    assert "| FLOPs | 100 FLOP | 160 FLOP | +60 % | +1% | failed |" in text
    assert r"Net/a\|b" in text
