"""The page as a whole: sound markup that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgegraph.errors import InputError
from edgegraph.reporting.page import code, page, report
from tests import analyses
from tests.reporting.conftest import MAKERS

VOID = {"meta", "input", "br", "img", "link", "base"}


class Reader(HTMLParser):
    """Collects tags, ids and text, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def everything() -> str:
    return page([make() for make in MAKERS.values()])


def test_tags_are_closed_and_ids_are_unique(everything: str) -> None:
    reader = Reader(everything)
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_reference_has_its_target(everything: str) -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', everything))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', everything))
    assert used
    assert used <= ids


def test_nothing_is_loaded_and_only_the_own_script_runs(everything: str) -> None:
    reader = Reader(everything)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"link", "img", "iframe", "object"})
    scripts = re.findall(r"<script>(.*?)</script>", everything, re.DOTALL)
    assert len(scripts) == 1
    data = [a for tag, a in reader.tags if tag == "script" and a]
    assert {a["type"] for a in data} == {"application/json"}
    for _, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in everything
    assert "url(http" not in everything
    policy = next(a["content"] for _, a in reader.tags if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe-eval" not in policy


def test_the_script_writes_no_markup(everything: str) -> None:
    """Whatever stands in a file gets into the page as text only."""
    script = re.findall(r"<script>(.*?)</script>", everything, re.DOTALL)[0]
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
    ):
        assert way not in script


def test_markup_in_names_stays_text() -> None:
    text = page([MAKERS["hostile"]()])
    assert analyses.MARKUP not in text
    assert analyses.SHOWN in "".join(Reader(text).text)


def test_one_choice_per_analysis_named_by_what_differs() -> None:
    text = page([analyses.small_cnn(1), analyses.small_cnn(32)])
    inputs = [attributes for tag, attributes in Reader(text).tags if tag == "input"]
    assert [attributes["id"] for attributes in inputs] == ["show-analysis-0", "show-analysis-1"]
    assert "checked" in inputs[0]
    assert "checked" not in inputs[1]
    assert re.findall(r'tab-name">([^<]+)<', text) == ["batch 1", "batch 32"]
    assert "<input" not in page([analyses.small_cnn(1)])


def test_equal_analyses_are_numbered() -> None:
    same = MAKERS["forward"]()
    assert re.findall(r'tab-name">([^<]+)<', page([same, same])) == ["batch 32 (1)", "batch 32 (2)"]


def test_a_page_needs_an_analysis(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one analysis"):
        report([], tmp_path / "page.html")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        report([MAKERS["forward"]()], tmp_path / "no" / "page.html")
    path = report([MAKERS["forward"]()], tmp_path / "page.html")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_commands_in_advice_are_code() -> None:
    assert code("run `a <b>` & `c`") == "run <code>a &lt;b&gt;</code> &amp; <code>c</code>"
    assert code("an odd ` stays") == "an odd ` stays"
    analysis = analyses.small_cnn(1)
    advised = replace(analysis.findings[0], try_next="run `edgegraph improve SPEC` on it")
    text = page([replace(analysis, findings=(advised,))])
    assert "run <code>edgegraph improve SPEC</code> on it." in text
