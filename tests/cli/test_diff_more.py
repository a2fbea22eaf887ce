"""``edgegraph diff`` on saved analyses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.cli import main
from tests.compare.networks import analysis


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, str]:
    before = analysis().save(tmp_path / "before.edgegraph")
    after = analysis(kernel=5).save(tmp_path / "after.edgegraph")
    return str(before), str(after)


def test_it_tells_layers_and_ops_in_80_columns(
    saved: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["diff", *saved]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "of the ops 2 changed" in out
    assert "conv2" in out
    assert "conv1" not in out
    # 55,296 + 294,912 + 40,960 MACs become 55,296 + 819,200 + 40,960.
    assert "+134 %" in out
    assert main(["diff", *saved, "--all"]) == 0
    assert "conv1" in capsys.readouterr().out


def test_json_has_the_attributes(
    saved: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *saved, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["empty"]
    changed = {row["layer"] for row in found["layer_changes"] if row["kind"] == "changed"}
    assert changed == {"Net", "Net/conv2"}
    assert [change["kind"] for change in found["op_changes"]] == ["changed", "changed"]


def test_nothing_is_told_of_the_same(
    saved: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", saved[0], saved[0]]) == 0
    assert "the same" in capsys.readouterr().out


def test_files_hold_it(
    saved: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["diff.html", "diff.md", "diff.csv", "diff.edgegraph"]
    outputs = [word for name in names for word in ("-o", str(tmp_path / name))]
    assert main(["diff", *saved, *outputs]) == 0
    capsys.readouterr()
    assert main(["diff", *saved, "--markdown"]) == 0
    assert (tmp_path / "diff.md").read_text("utf-8") == capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "diff.csv").read_text("utf-8").splitlines()))
    assert {row["layer"]: row["change"] for row in rows}["Net/conv2"] == "changed"
    assert isinstance(eg.load(tmp_path / "diff.edgegraph"), eg.Diff)
    page = (tmp_path / "diff.html").read_text("utf-8")
    assert page.count('<section class="analysis"') == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.edgegraph", "none.edgegraph"], "is neither a file nor"),
        (["models.cnn:small_cnn", "x.edgegraph"], "is not a file; save an analysis first"),
        (["a", "b", "-o", "diff.pdf"], "choose a name that ends in .html, .md"),
        (["a", "b", "--json", "--markdown"], "--json and --markdown exclude each other"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
