"""A gate's verdict at the terminal, as lines and as Markdown."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from edgegraph.compare.diff import subject
from edgegraph.gate.gate import Check, Culprit, GateResult
from edgegraph.gate.present import gate_table, headline, lines, markdown
from tests.compare.networks import analysis

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
