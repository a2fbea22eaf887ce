"""A page with every kind of result in a real browser, from disk."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from edgegraph.reporting.page import report
from edgegraph.results.analysis import Analysis
from edgegraph.results.base import Study
from tests.reporting.conftest import MAKERS
from tests.results.test_op_trace import TRACE
from tests.studies import device_comparisons, fusion_studies, overlap_studies, sweeps

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which scripts/test installs"),
    pytest.mark.slow,
]
HEADINGS = (
    "Timeline",
    "Latency and throughput over the batch size",
    "Bytes and latency, by how much is fused",
    "Layers in their brackets",
    "Time by device",
)
"""What stands in one result after the other."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results: list[Analysis | Study] = [
        replace(MAKERS["measured"](), op_trace=TRACE),
        sweeps.saturating(),
        fusion_studies.study(),
        overlap_studies.made(workload="small_cnn"),
        device_comparisons.three(),
    ]
    return report(results, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def page(file: Path) -> Iterator[Page]:
    """The opened page, which must neither ask for anything nor complain."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        yield page
        browser.close()
    assert asked == [file.as_uri()]
    assert complaints == []


def test_the_keyboard_goes_through_all_results(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio").first).to_be_focused()
    for number, heading in enumerate(HEADINGS):
        if number:
            page.keyboard.press("ArrowRight")
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        expect(page.locator("section.analysis:visible")).to_have_count(1)


def test_the_timeline_tells_of_itself(page: Page) -> None:
    page.get_by_role("radio").first.check(force=True)
    charts = page.locator("svg.timeline:visible")
    expect(charts).to_have_count(2)
    expect(charts.nth(1)).to_have_attribute("aria-label", re.compile(r"over 7\ss, measured"))
    expect(page.get_by_role("heading", name="Ops as traced")).to_be_visible()
    assert charts.nth(1).locator("rect").count() == len(TRACE.events)


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out_at_the_side(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for number in range(len(HEADINGS)):
        page.get_by_role("radio").nth(number).check(force=True)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_printed_tables_of_studies_fit_on_paper(page: Page) -> None:
    page.set_viewport_size({"width": 700, "height": 1000})  # A4 within its margins
    page.emulate_media(media="print")
    tables = page.locator(".scroll:has(table.study)").all()
    assert len(tables) == 6  # one each of sweep, overlap and devices, three of fusion
    for table in tables:
        assert table.is_visible()
        assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), table.inner_text()
    page.emulate_media(media="screen")
