"""``edgegraph scaling``: what it refuses, and what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.cli import main
from tests.compiler.test_ahead import needs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--chips", "four"], "--chips 'four' is not a list of numbers"),
        (["--chips", "0,2"], "--chips must be positive integers, not"),
        (["--parallel", "pipeline"], "--parallel 'pipeline' is unknown; choose data, tensor, both"),
        (["--parallel", "both", "--tensor", "3", "--chips", "4"], "--tensor 3 does not divide"),
        (["--target", "device:rpi5"], "no links between chips"),
        (["-o", "x.txt"], "choose a name that ends in"),
        (["--batch", "0"], "batch must be a positive integer, not 0"),
    ],
)
def test_bad_questions_are_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scaling", "models.mlp:mlp", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


@needs("tpu:v5e")
def test_it_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, page = tmp_path / "scaling.edgegraph", tmp_path / "scaling.html"
    arguments = ["--chips", "4", "--parallel", "both", "--batch", "8", "--json"]
    assert main(["scaling", "models.mlp:mlp", *arguments, "-o", str(saved), "-o", str(page)]) == 0
    (point,) = json.loads(capsys.readouterr().out)["points"]
    assert (point["data"], point["tensor"], point["batch"]) == (2, 2, 8)
    # The second layer's 512 outputs of four examples, summed over two chips.
    assert point["wire_bytes"] == 2 * 1 * 4 * 4 * 512 // 2
    assert isinstance(eg.load(saved), eg.Scaling)
    assert "Speedup, and what a step consists of" in page.read_text("utf-8")
    assert main(["show", str(saved)]) == 0
    assert "strong scaling" in capsys.readouterr().out
