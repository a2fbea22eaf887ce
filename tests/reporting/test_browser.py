"""The page in a real browser, from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from edgegraph.reporting.page import report
from tests import analyses
from tests.reporting.conftest import MAKERS

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which scripts/test installs"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shown = [MAKERS["measured"](), MAKERS["forward"](), MAKERS["hostile"](), MAKERS["phases"]()]
    return report(shown, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Page]:
    """The opened page, which must neither ask for anything nor complain."""
    context = browser.new_context(color_scheme=request.param)
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    yield page
    assert asked == [file.as_uri()]
    assert complaints == []
    context.close()


def test_it_says_what_it_is_about(page: Page) -> None:
    expect(page.get_by_role("heading", level=2)).to_contain_text("small_cnn at batch 1 takes")
    expect(page.get_by_role("rowheader", name="conv1", exact=True)).to_be_visible()
    for heading in ("Graph", "Layers", "Roofline", "Time by layer"):
        shown = page.get_by_role("heading", name=heading, exact=True)
        expect(shown).to_have_count(1)
        expect(shown).to_be_visible()


def test_the_keyboard_switches_analyses(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio").nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", level=2)).to_contain_text("small_cnn at batch 32 takes")
    expect(page.locator("#analysis-0")).to_be_hidden()


def test_a_click_switches_analyses(page: Page) -> None:
    page.get_by_text("gradient, cpu").click()
    expect(page.get_by_role("row").filter(has_text="backward").first).to_be_visible()


def test_markup_in_names_stays_text(page: Page) -> None:
    page.get_by_role("radio").nth(2).check(force=True)
    expect(page.get_by_role("rowheader", name=analyses.SHOWN).first).to_be_visible()
    assert page.locator("img").count() == 0


def test_figures_follow_the_colour_scheme(page: Page) -> None:
    ink, paper = page.evaluate(
        """() => {
            const text = document.querySelector('#analysis-0 figure svg text');
            return [getComputedStyle(text).fill, getComputedStyle(document.body).backgroundColor];
        }"""
    )
    assert ink != paper
    brightness = sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(",")))
    dark = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    assert (brightness < 3 * 128) is dark


@pytest.mark.parametrize("width", [380, 800, 1280])
def test_nothing_sticks_out_at_the_side(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
