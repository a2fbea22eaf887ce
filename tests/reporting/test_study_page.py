"""Every study on the page, and what it says there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from edgegraph.reporting.page import page
from edgegraph.reporting.presenters import StudySection
from edgegraph.reporting.table_kit import HtmlTable
from edgegraph.results.base import Study
from edgegraph.results.kinds import presenter_of
from edgegraph.results.verdicts import HURTS
from tests import analyses
from tests.analysis.test_schedule import COPIES, simulated
from tests.studies import device_comparisons, fusion_studies, overlap_studies, sweeps

STUDIES: dict[str, Callable[[], Study]] = {
    "sweep": sweeps.saturating,
    "sweep that failed": lambda: sweeps.sweep(sweeps.failed(1), sweeps.failed(2)),
    "fusion": fusion_studies.study,
    "fusion, unmeasured": fusion_studies.unmeasured,
    "overlap": overlap_studies.made,
    "overlap without device": lambda: overlap_studies.made(whole=None, layers=()),
    "devices": device_comparisons.three,
    "devices that failed": lambda: device_comparisons.comparison(device_comparisons.failed("x")),
}


def shown(study: Study) -> StudySection:
    found = presenter_of(study).section(study, 0)["study"]
    assert isinstance(found, StudySection)
    return found


@pytest.mark.parametrize("make", STUDIES.values(), ids=STUDIES)
def test_every_study_has_a_page(make: Callable[[], Study]) -> None:
    study = make()
    text = page([study])
    assert text == page([study])
    body = text.partition("<body>")[2].partition("<script")[0]
    assert "None" not in body
    assert "nan" not in body.lower()


@pytest.mark.parametrize(
    ("make", "headline"),
    [
        # 18,000 samples a second at batch 16 are the most; batch 128 failed.
        (sweeps.saturating, "small_cnn over batch 1 to 128 reaches 18 k/s."),
        (STUDIES["sweep that failed"], "small_cnn over batch 1 to 2: nothing was measured."),
        (fusion_studies.study, "Fusion helps small_cnn at batch 32."),
        (lambda: fusion_studies.study(4.6e-3, 4.2e-3, 3.5e-3), "Fusion hurts small_cnn at batch"),
        (fusion_studies.unmeasured, "What fusion does to small_cnn at batch 32: not measured."),
        (overlap_studies.made, "net at batch 8 takes 5 s, within its roofline bracket."),
        (device_comparisons.three, "small_cnn can be fastest on tpu:v5e: at least 4 µs at batch 1"),
        (STUDIES["devices that failed"], "small_cnn: no device has figures."),
    ],
)
def test_the_headline_says_what_was_found(make: Callable[[], Study], headline: str) -> None:
    assert "".join(shown(make()).headline).startswith(headline)


def test_hurting_fusion_is_told_by_the_studys_own_verdict() -> None:
    assert fusion_studies.study(4.6e-3, 4.2e-3, 3.5e-3).verdict == HURTS


def test_what_the_lead_says_is_not_said_again() -> None:
    found = shown(sweeps.saturating())
    assert any(line.startswith("Knee: batch 8 ") for line in found.lead)
    lines = [part.text for part in found.parts if not isinstance(part, HtmlTable)]
    assert "batch 128: out of memory" in lines
    assert not any(line.startswith("knee") for line in lines)


def test_the_table_has_a_row_for_every_point() -> None:
    (table,) = [part for part in shown(sweeps.saturating()).parts if isinstance(part, HtmlTable)]
    assert [row.cells[0].text for row in table.rows] == [
        "1",
        "2",
        "4",
        "8",
        "16",
        "32",
        "64",
        "128",
    ]
    bound = [column.heading for column in table.columns].index("bound")
    assert [row.cells[bound].kind for row in table.rows][:3] == [
        "bound memory", "bound memory", "bound compute",
    ]  # fmt: skip


def test_an_overlap_study_shows_its_schedule() -> None:
    schedule = simulated(COPIES, {"start": 7.0, "a": 2.0, "b": 3.0, "c": 1.0})
    found = shown(overlap_studies.made(schedule=schedule))
    assert found.schedule is not None
    # The copy of 1000 floats is read and written; 2 s of its 7 s are waited for.
    table = found.parts[1]
    assert isinstance(table, HtmlTable)
    texts = [cell.text for cell in table.rows[0].cells]
    assert texts == ["copy start", "partly hidden", "", "1", "8 kB", "7 s", "5 s", "2 s"]


def test_tabs_tell_results_of_one_workload_apart() -> None:
    analysis = analyses.small_cnn(32)
    text = page([analysis, sweeps.saturating(), fusion_studies.study(), fusion_studies.study()])
    # What is named alike is told apart by its place.
    for name in ("batch 32", "sweep", "fusion, batch 32 (3)", "fusion, batch 32 (4)"):
        assert f'<span class="tab-name">{name}</span>' in text


def test_markup_in_names_stays_text() -> None:
    text = page([replace(sweeps.saturating(), workload=analyses.HOSTILE)])
    assert analyses.MARKUP not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
