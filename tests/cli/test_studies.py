"""``edgegraph fusion``, ``overlap`` and ``scaling``: what they refuse, print and write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pandas as pd
import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.cli.studies import Spread, _meshes
from edgegraph.errors import InputError
from edgegraph.studies.fusion.result import FusionStudy
from tests.compiler.test_ahead import needs
from tests.studies.fusion_studies import study, unmeasured
from tests.studies.improve.improvements import improvement
from tests.studies.overlap_studies import made
from tests.studies.scalings import FAILED, scaling

Asked = list[dict[str, Any]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    calls: Asked = []

    def make(subject: Any, **values: Any) -> FusionStudy:
        calls.append({"subject": subject, **values})
        if values["batch"] == 99:
            raise KeyboardInterrupt
        return replace(study() if values["measure"] else unmeasured(), batch=values["batch"])

    monkeypatch.setattr("edgegraph.workload.spec.resolve_spec", lambda spec, **_: spec)
    monkeypatch.setattr("edgegraph.studies.fusion.run.fusion_study", make)
    return calls


def test_options_reach_the_study(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fusion", "a:b", "--batch", "1", "--batch", "32", "--quick"]) == 0
    assert [(call["subject"], call["batch"]) for call in asked] == [("a:b", 1), ("a:b", 32)]
    assert asked[0]["processes"] == 3
    assert asked[0]["settings"].limit_s == 3.0
    assert asked[0]["measure"] is True
    out = capsys.readouterr().out
    assert out.count("library fusion helps") == 2
    assert main(["fusion", "a:b"]) == 0
    assert (asked[2]["processes"], asked[2]["settings"]) == (7, None)


def test_what_a_full_database_refuses_has_its_files(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: eg.Store, result: Any) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr("edgegraph.store.Store.put", full)
    file, store = tmp_path / "out.edgegraph", tmp_path / "runs.db"
    assert main(["fusion", "a:b", "-o", str(file), "--store", str(store)]) == 2
    assert eg.load(file).batch == 1


def test_json_is_one_object_a_line(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fusion", "a:b", "-b", "1", "-b", "32", "--json", "--no-measure"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["batch"], second["batch"]) == (1, 32)
    assert [rung["bytes"] for rung in second["rungs"]] == [3_402_024, 27_617_584, 59_126_596]
    assert second["verdict"] is None
    assert asked[0]["measure"] is False


def test_files_of_several_batches_are_told_apart(asked: Asked, tmp_path: Path) -> None:
    options = ["-o", str(tmp_path / "f.csv"), "-o", str(tmp_path / "f.pdf")]
    assert main(["fusion", "a:b", *options]) == 0
    assert main(["fusion", "a:b", "-b", "1", "-b", "32", *options]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"f.csv", "f.pdf", "f_b1.csv", "f_b1.pdf", "f_b32.csv", "f_b32.pdf"}
    assert len(pd.read_csv(tmp_path / "f.csv")) == 3


def test_an_interruption_keeps_what_is_written(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.csv"
    assert main(["fusion", "a:b", "-b", "1", "-b", "99", "-o", str(path)]) == 130
    assert "f_b1.csv" in capsys.readouterr().err


def test_strict_wants_verdicts(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fusion", "a:b", "--strict"]) == 0
    assert main(["fusion", "a:b", "--strict", "--no-measure"]) == 3
    assert "allows no verdict (it was not measured)" in capsys.readouterr().err


def test_bad_input_is_one_line(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fusion", "a:b", "-o", "x.txt"]) == 2
    err = capsys.readouterr().err
    assert "ends in .edgegraph, .csv" in err
    assert err.count("\n") == 1
    assert not asked


def test_a_saved_study_is_shown_again(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.edgegraph"
    assert main(["fusion", "a:b", "-b", "32", "-o", str(path)]) == 0
    shown = capsys.readouterr().out
    assert main(["fusion", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert len(asked) == 1
    assert main(["fusion", str(path), "--quick"]) == 2
    assert "--quick has no effect on the file" in capsys.readouterr().err
    assert main(["sweep", str(path)]) == 2
    assert "contains a FusionStudy; expected a Sweep" in capsys.readouterr().err


def test_a_file_cannot_be_studied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.txt"
    path.write_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }")
    assert main(["fusion", str(path)]) == 2
    assert "it needs the Python code" in capsys.readouterr().err
    path.write_text(jax.jit(jax.numpy.tanh).lower(jax.ShapeDtypeStruct((8,), "float32")).as_text())
    assert main(["fusion", str(path), "--no-measure"]) == 0  # StableHLO is compiled here


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
def test_bad_questions_to_scaling_are_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scaling", "models.mlp:mlp", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("spread", "meshes"),
    [
        (Spread(), [(1, 1), (2, 1), (4, 1), (8, 1)]),
        (Spread(chips="2,8", parallel="tensor"), [(1, 2), (1, 8)]),
        (Spread(chips="1,4,8", parallel="both", tensor=4), [(1, 1), (1, 4), (2, 4)]),
    ],
)
def test_chips_split_the_batch_the_kernels_or_both(
    spread: Spread, meshes: list[tuple[int, int]]
) -> None:
    assert _meshes(spread) == meshes


@needs("tpu:v5e")
def test_scaling_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_command_shows_what_was_saved_and_refuses_what_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = made().save(tmp_path / "a.edgegraph")
    assert main(["overlap", str(saved)]) == 0
    shown = capsys.readouterr().out
    assert main(["show", str(saved)]) == 0
    assert capsys.readouterr().out == shown
    (tmp_path / "dump.txt").write_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }")
    assert main(["overlap", str(tmp_path / "dump.txt")]) == 2
    assert "needs the Python code" in capsys.readouterr().err
    assert main(["overlap", "models.cnn:small_cnn", "-o", "x.doc"]) == 2
    assert ".edgegraph, .csv, .png" in capsys.readouterr().err


def test_where_no_mesh_has_figures_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "edgegraph.studies.scaling.run.scaling_study", lambda *_, **__: scaling(FAILED)
    )
    assert main(["scaling", "models.mlp:mlp"]) == 2
    assert "no mesh has figures; data 64: out of memory" in capsys.readouterr().err


def test_an_interrupted_improvement_is_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = improvement(timing=None, interrupted="comparing the times")
    monkeypatch.setattr("edgegraph.workload.spec.resolve_spec", lambda spec, **_: spec)
    monkeypatch.setattr("edgegraph.studies.improve.run.improve", lambda *_, **__: found)
    page, fast = tmp_path / "page.html", tmp_path / "fast.rewrites"
    asked = ["improve", "a:b", "-b", "1", "-o", str(page), "--save", str(fast)]
    assert main(asked) == 130
    assert page.exists()
    assert "depthwise" in fast.read_text("utf-8")
    seen = capsys.readouterr()
    assert "interrupted while comparing the times" in seen.out
    assert str(fast) in seen.err
