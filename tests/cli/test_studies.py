from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from edgegraph.cli import main
from edgegraph.studies.fusion.result import FusionStudy
from tests.studies.fusion_studies import study, unmeasured

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
    assert main(["sweep", str(path)]) == 2
    assert "contains a FusionStudy; expected a Sweep" in capsys.readouterr().err


def test_a_file_cannot_be_studied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.txt"
    path.touch()
    assert main(["fusion", str(path)]) == 2
    assert "it needs the Python code" in capsys.readouterr().err
