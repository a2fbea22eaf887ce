"""What is in a name never runs on a page, and the page's policy holds, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, sync_playwright

import edgegraph as eg
from edgegraph.reporting.page import report
from tests import analyses
from tests.reporting.conftest import MAKERS
from tests.results.test_op_trace import TRACE
from tests.studies import device_comparisons, fusion_studies, overlap_studies, scalings, sweeps
from tests.studies.improve.improvements import improvement

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which scripts/test installs"),
    pytest.mark.slow,
]

MARKUP = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'<script>"
"""Harmless where it runs, and seen: it has no slash, which would part names of layers."""

NAMES = frozenset(
    {
        "workload", "layer", "source", "rule", "seen", "why", "try_next",
        "reasons", "error", "notes", "processor", "platform", "jax", "python", "unpriced", "title",
        "scopes", "signature", "reason", "first", "second", "description", "device", "figures_of",
        "line", "function", "label",
    }
)  # fmt: skip
"""Fields whose texts come from outside. Bounds and verdicts are words of ours, ops the module's."""


def marked(value: Any, place: str = "") -> Any:
    """Return a result with markup behind every name in it."""
    if isinstance(value, str):
        return value + MARKUP if place in NAMES else value
    if isinstance(value, tuple):
        return tuple(marked(each, place) for each in value)
    if isinstance(value, eg.Device):
        value = replace(value, name=value.name + MARKUP)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: marked(each, name) for name, each in own.items()})
    if isinstance(value, Mapping):
        return {key: marked(each, place) for key, each in value.items()}
    if isinstance(value, msgspec.Struct):
        own = {name: getattr(value, name) for name in value.__struct_fields__}
        return msgspec.structs.replace(
            value, **{name: marked(each, name) for name, each in own.items()}
        )
    return value


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = MAKERS["measured"]()
    findings = analyses.hostile().findings
    every = (
        replace(known, op_trace=TRACE, findings=findings), MAKERS["unknown"](), MAKERS["noisy"](),
        sweeps.saturating(), fusion_studies.study(), overlap_studies.made(),
        device_comparisons.three(), scalings.MADE, improvement(),
        eg.diff(known, MAKERS["phases"]()),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("page") / "report.html"
    return report([marked(each) for each in every], path)


@pytest.fixture(scope="module")
def opened(file: Path) -> Iterator[tuple[Page, list[str]]]:
    """The page, and what it has asked for and complained of."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        noted: list[str] = []
        page.on("request", lambda request: noted.append(request.url))
        page.on("console", lambda message: noted.append(message.text))
        page.on("pageerror", lambda error: noted.append(str(error)))
        page.goto(file.as_uri())
        yield page, noted
        browser.close()


def test_names_that_are_markup_are_shown_as_they_are(
    opened: tuple[Page, list[str]], file: Path
) -> None:
    page, noted = opened
    for label in page.locator("label").all():  # one result after the other
        if label.is_visible():
            label.click()
    assert page.locator("img").count() == 0
    # Scripts of a type are data.
    assert page.evaluate("[...document.scripts].filter(each => !each.type).length") == 1
    assert page.title() != "run"
    assert MARKUP in page.locator("body").inner_text()
    assert noted == [file.as_uri()]


ATTACKS = {
    "a script in the page": "const it = document.createElement('script');"
    " it.textContent = \"document.title = 'run'\"; document.body.append(it)",
    "an attribute that is a script": "const it = document.createElement('p');"
    " it.setAttribute('onclick', \"document.title = 'run'\"); document.body.append(it); it.click()",
    "a picture": "document.body.append(Object.assign(new Image(), {src: 'picture.png'}))",
    "a question to the network": "fetch('http://127.0.0.1:9/').catch(() => {})",
    "a page in the page": "document.body.append(Object.assign(document.createElement('iframe'),"
    " {src: 'about.html'}))",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_policy_refuses(opened: tuple[Page, list[str]], attack: str) -> None:
    page, _ = opened
    page.evaluate(
        """() => { window.refused = new Promise(done => {
            document.addEventListener(
                'securitypolicyviolation', event => done(event.effectiveDirective), {once: true}
            );
            setTimeout(() => done(null), 5000);
        }) }"""
    )
    page.evaluate(f"() => {{ {attack} }}")
    assert page.evaluate("() => window.refused") is not None
    assert page.title() != "run"
