"""What is said first: which time to believe, what binds, where to start; and that all agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html import escape
from io import StringIO

import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.analysis.findings import find
from edgegraph.reporting import page
from edgegraph.reporting.answer import BINDS, believed, binds, headline, listed, start, times, worth
from edgegraph.reporting.tables import analysis_tables
from edgegraph.results.analysis import Analysis
from edgegraph.results.document import document
from scripts import first_screen_programs
from tests import analyses
from tests.analysis.findings import programs

REASONS = ("the middle half of the samples spreads over 15 % of the median, more than 10 %",)


def found(analysis: Analysis) -> Analysis:
    return replace(analysis, findings=find(analysis))


def quick() -> Analysis:
    """Every layer and the whole a little above their roofs."""
    return found(analyses.measured(analyses.small_cnn(32), 0.002))


def slow() -> Analysis:
    """Every layer takes 100 ms: far under any roof."""
    return found(analyses.measured(analyses.small_cnn(32), 0.1))


def noisy(verdict: str = "NOISY") -> Analysis:
    base = analyses.measured(analyses.small_cnn(32), 0.1)
    assert base.latency is not None
    latency = replace(base.latency, verdict=verdict, reasons=REASONS)
    return found(replace(base, latency=latency))


def unmeasured() -> Analysis:
    return found(analyses.small_cnn(1))


def expecting(analysis: Analysis, expected_s: float) -> Analysis:
    totals = replace(
        analysis.totals,
        expected_time_s=expected_s,
        expected_low_s=expected_s / 2,
        expected_high_s=2 * expected_s,
    )
    return replace(analysis, totals=totals)


def text(analysis: Analysis, width: int = 120) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(analysis_tables(analysis))
    return console.export_text()


def own_model() -> Analysis:
    """Batch normalisation, and random state that nothing reads."""
    return found(eg.analyze(first_screen_programs.net(), batch=2, device=analyses.DEVICE))


def physics() -> Analysis:
    """No layers, so that it begins with a loop."""
    return found(eg.analyze(first_screen_programs.physics(), device=analyses.DEVICE))


def train_step() -> Analysis:
    step = first_screen_programs.train_step(layers=1)
    return found(eg.analyze(step, batch=2, device=analyses.DEVICE))


ANALYSES = [quick, slow, noisy, unmeasured, own_model, physics, train_step]


@pytest.mark.parametrize("make", ANALYSES)
def test_headline_findings_table_and_page_have_one_bound_one_ranking_and_one_time(
    make: Callable[[], Analysis],
) -> None:
    analysis = make()
    shown = text(analysis)
    written = page.page([analysis]).replace("&#160;", " ")
    bound = analysis.totals.bound
    assert bound is not None
    # One bound: of the headline, the last row, the document and the page.
    assert BINDS[bound] in headline(analysis)
    (total,) = (line for line in shown.splitlines() if line.strip().startswith("total"))
    assert bound in total.split()
    assert document(analysis)["totals"]["bound"] == bound
    assert f'<span class="bound-text {bound}">{binds(analysis)}</span>' in written
    # One ranking: of the findings, where to start, the table's panel and the page.
    ranked = listed(analysis)
    assert [each.weight for each in ranked] == sorted((e.weight for e in ranked), reverse=True)
    first = start(analysis)
    assert first is not None
    assert (ranked[0].layer or ranked[0].seen) in first
    assert " ".join(first.split()) in " ".join(shown.split())
    assert escape(first) in written
    for number, each in enumerate(ranked[:3], start=1):
        assert f"{number}. {each.seen[:30]}" in shown
    # One time: of the headline, and of the page's.
    time = believed(analysis)
    assert "".join(time) in headline(analysis)
    said = f"{time.before}<b>{time.value}</b>{time.after}"
    assert said in written


@pytest.mark.parametrize("verdict", ["NOISY", "INVALID"])
def test_no_headline_and_no_share_rests_on_a_noisy_measurement(verdict: str) -> None:
    analysis = noisy(verdict)
    assert analysis.latency is not None
    # 4/5 of five layers of 100 ms; without a calibration the roof is all that is known.
    assert "400 ms" not in headline(analysis)
    assert f"(the measurement is {verdict})" in headline(analysis)
    first = start(analysis)
    assert first is not None
    assert first.startswith("Stop other work on this machine and measure again")
    assert REASONS[0] in first
    assert not any(worth(analysis, each) for each in analysis.findings)
    assert page.page([analysis]).replace("&#160;", " ").count(REASONS[0]) == 1


def test_where_to_start_says_share_roof_and_what_can_be_won() -> None:
    analysis = slow()
    first = listed(analysis)[0]
    row = next(row for row in analysis.layer_records if row.layer == first.layer)
    # Of five layers of 100 ms each, one takes a fifth; at its roof hardly any is left of it.
    assert row.share == pytest.approx(0.2)
    assert row.efficiency is not None
    assert row.efficiency < 0.001
    assert start(analysis) == (
        f"Start with {first.layer}: 20 % of the time, <0.1 % of its roof, up to 20 % to win."
    )


def test_where_nothing_was_measured_the_share_is_of_the_estimated_time() -> None:
    first = start(unmeasured())
    assert first is not None
    assert "of the estimated time" in first


def test_a_program_without_findings_has_no_start() -> None:
    assert start(replace(quick(), findings=())) is None


def test_times_stand_in_order_with_the_one_to_believe() -> None:
    analysis = expecting(slow(), 0.3)
    said = times(analysis)
    assert said is not None
    # The whole is 4/5 of the sum of five layers of 100 ms.
    order, believed = said.split("; believe ")
    assert order.endswith(" < expected 300 ms < measured 400 ms < layers alone 500 ms")
    assert believed.startswith("the measured one; 5 µs of it is launching")
    assert "compiled together the layers gain 20 %" in believed
    assert "lets expect" not in believed
    assert "more than the calibration lets expect" in str(times(expecting(slow(), 0.1)))
    assert "less than the calibration lets expect" in str(times(expecting(slow(), 1.0)))


def test_an_expected_time_takes_the_place_of_a_noisy_one_unless_it_is_refuted() -> None:
    # Its fastest run took 9/10 of 400 ms.
    assert "about 300 ms (expected; the measurement is NOISY)" in headline(expecting(noisy(), 0.3))
    assert "believe the expected one" in str(times(expecting(noisy(), 0.3)))
    refuted = expecting(noisy(), 0.1)
    assert "at least" in headline(refuted)
    assert "fastest run is longer than expected" in str(times(refuted))


def test_a_noisy_measurement_without_a_device_leaves_nothing_to_believe() -> None:
    base = noisy()
    totals = replace(base.totals, compute_time_s=None, overlapped_time_s=None)
    assert str(times(replace(base, totals=totals))).endswith(
        "; believe none of them, for the measurement is NOISY"
    )


def test_one_time_alone_needs_no_order() -> None:
    assert times(analyses.small_cnn(1)) is None


def test_no_roof_binds_a_program_that_is_far_under_all_of_them() -> None:
    assert headline(programs.integer_product("int8")).endswith(
        "bound by arithmetic, in kernels far under every roof"
    )
    assert headline(programs.integer_product("int32")).endswith("bound by arithmetic")
