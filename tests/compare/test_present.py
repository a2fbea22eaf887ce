"""Every presenter of a diff shows every kind of one."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.compare.present import diff_table, write_diff_page
from edgegraph.reporting.table_kit import AsNamed
from edgegraph.results.analysis import Analysis
from tests.analyses import MARKUP, unseen
from tests.compare.networks import analysis
from tests.reporting.conftest import MAKERS

PAIRS: dict[str, Callable[[], tuple[Analysis, Analysis]]] = {
    "changed": lambda: (analysis(), analysis(kernel=5)),
    "fused differently": lambda: (analysis(normalised=True), analysis(fused=False)),
    "nothing": lambda: (analysis(), analysis()),
    "phases": lambda: (MAKERS["phases"](), MAKERS["noisy"]()),
    "without device": lambda: (MAKERS["without device"](), MAKERS["unknown"]()),
    "hostile": lambda: (analysis(), MAKERS["hostile"]()),
}


@cache
def pair(name: str) -> tuple[Analysis, Analysis, eg.Diff]:
    before, after = PAIRS[name]()
    return before, after, eg.diff(before, after)


def table(name: str, folder: Path, width: int = 80) -> str:
    with (folder / "out").open("w", encoding="utf-8") as file:
        console = Console(width=width, record=True, file=file)
        console.print(AsNamed(diff_table(pair(name)[2], everything=True)))
    return console.export_text()


def whole_page(name: str, folder: Path) -> str:
    before, after, diff = pair(name)
    return write_diff_page(diff, before, after, folder / "page.html").read_text("utf-8")


def page(name: str, folder: Path) -> str:
    """Return the page without its script and compressed data."""
    return re.sub(r"<script.*?</script>", "", whole_page(name, folder), flags=re.DOTALL)


def marks(text: str) -> list[dict[str, str]]:
    """Return the marked layers of both graphs, as the page's script reads them."""
    scenes = re.findall(r'id="scene-\d">"(.*?)"</script>', text)
    read = [json.loads(gzip.decompress(base64.b64decode(scene))) for scene in scenes]
    return [
        {scene["rows"][int(row)]["layer"]: mark for row, mark in scene["marks"].items()}
        for scene in read
    ]


PRESENTERS: dict[str, Callable[[str, Path], str]] = {
    "table": table,
    "page": page,
    "markdown": lambda name, folder: pair(name)[2].to_markdown(),
    "notebook": lambda name, folder: pair(name)[2]._repr_html_(),
    "repr": lambda name, folder: repr(pair(name)[2]),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("presenter", PRESENTERS)
def test_every_presenter_shows_every_diff(presenter: str, name: str, tmp_path: Path) -> None:
    shown = PRESENTERS[presenter](name, tmp_path)
    assert "nan" not in shown.lower().replace("nanosecond", "")
    assert "None" not in shown
    if presenter in ("page", "notebook"):
        assert MARKUP not in shown
    if presenter == "markdown":
        assert "<img" not in shown.replace(r"\<img", "")
    assert not unseen(shown)


@pytest.mark.parametrize("name", PAIRS)
def test_the_terminal_keeps_within_its_columns(name: str, tmp_path: Path) -> None:
    for width in (80, 120):
        assert max(map(len, table(name, tmp_path, width).splitlines())) <= width


def test_the_page_shows_both_and_marks_what_differs(tmp_path: Path) -> None:
    text = page("changed", tmp_path)
    for name in ("conv1", "conv2", "dense"):  # side by side, and in either table
        assert text.count(f'title="Net/{name}: changed"') == (3 if name == "conv2" else 0)
    assert "http://" not in text.replace("http://www.w3.org", "")
    whole = whole_page("changed", tmp_path)
    assert whole == whole_page("changed", tmp_path)
    assert marks(whole) == 2 * [{"Net": "changed", "Net/conv2": "changed"}]


def shown(diff: eg.Diff, width: int, folder: Path) -> str:
    with (folder / "shown").open("w", encoding="utf-8") as file:
        console = Console(width=width, record=True, file=file)
        console.print(diff_table(diff))
    return console.export_text()


def test_many_changes_of_ops_are_cut_with_how_many_are_left(tmp_path: Path) -> None:
    diff = pair("changed")[2]
    many = replace(diff, op_changes=diff.op_changes[:1] * 53)
    assert "and 33 changes of ops more; --all shows them" in shown(many, 80, tmp_path)
    assert "\nand 3 more\n" in many.to_markdown()


def test_what_binds_is_shown_from_110_columns_on(tmp_path: Path) -> None:
    diff = pair("changed")[2]
    assert " bound " not in shown(diff, 109, tmp_path)
    assert " bound " in shown(diff, 110, tmp_path)
