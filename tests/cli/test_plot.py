"""``edgegraph plot``: the figure of what a file holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgegraph.cli import main
from edgegraph.cli.report import complete_kind
from tests import analyses
from tests.studies.sweeps import saturating

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def saved(tmp_path: Path) -> str:
    return str(analyses.small_cnn(32).save(tmp_path / "small_cnn.edgegraph"))


def test_one_figure_in_three_formats(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"graph.{kind}" for kind in MAGIC]
    options = [word for path in paths for word in ("-o", str(path))]
    assert main(["plot", "graph", saved, *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(path) for path in paths]
    for path in paths:
        assert path.read_bytes().startswith(MAGIC[path.suffix[1:]])


def test_a_file_without_a_kind_has_a_figure_of_its_own(saved: str, tmp_path: Path) -> None:
    figure = tmp_path / "figure.svg"
    assert main(["plot", saved, "-o", str(figure)]) == 0
    assert "arithmetic intensity" in figure.read_text("utf-8")
    sweep = str(saturating().save(tmp_path / "sweep.edgegraph"))
    assert main(["plot", sweep, "-o", str(figure), "--width", "page"]) == 0
    # 7 inches of 72 points.
    assert 'width="504pt"' in figure.read_text("utf-8")


def test_tab_offers_the_kinds_before_files() -> None:
    assert complete_kind("ro") == ["roofline"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pie", "FILE", "-o", "a.png"], "there is no figure 'pie'; choose one of: roofline"),
        (["sweep", "FILE", "-o", "a.png"], "shows another kind of result than this analysis"),
        (["graph", "FILE", "-o", "a.bmp"], "choose a name that ends in .png, .svg or .pdf"),
        (["graph", "FILE"], "-o names no file"),
        (["graph", "FILE", "-o", "a.png", "--width", "9"], "choose one of: column, page"),
        (["roofline", "-o", "a.png"], "roofline: a figure needs a saved file"),
        (["sweep", "models.cnn:small_cnn", "-o", "a.png"], "edgegraph sweep models.cnn:small_cnn"),
    ],
)
def test_bad_input_is_one_line(
    saved: str,
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *(saved if word == "FILE" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
