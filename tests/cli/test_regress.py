"""``edgegraph regress``: what it is asked, and what it shows."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgegraph.cli import main
from tests.studies.regressions import regression


def test_a_study_is_shown_written_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text("import jax\ndef net(x):\n    return jax.numpy.tanh(x)\n")
    here = ["--python", sys.executable, "--python", sys.executable, "--no-measure"]
    page, saved = tmp_path / "page.html", tmp_path / "study.edgegraph"
    store = tmp_path / "runs.db"
    asked = ["regress", f"{tmp_path}/net.py:net", "--arg", "x=f32[8]", *here]
    outputs = ["-o", str(page), "-o", str(saved), "--store", str(store)]
    assert main([*asked, *outputs]) == 0
    assert "the optimised program is the same" in capsys.readouterr().out
    assert page.is_file()
    assert main(["regress", str(saved), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["same_program"] is True
    assert [row["flops"] for row in document["versions"]] == [0, 0]
    assert main(["show", f"{store}#1"]) == 0


def test_the_text_of_an_issue_is_written(tmp_path: Path) -> None:
    saved = regression().save(tmp_path / "study.edgegraph")
    issue = tmp_path / "issue.md"
    assert main(["regress", str(saved), "--issue", str(issue)]) == 0
    assert "slower with jax 0.10.2" in issue.read_text("utf-8")


def test_a_study_that_compares_nothing_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = replace(regression(), before=None, after=None)
    assert main(["regress", str(nothing.save(tmp_path / "study.edgegraph"))]) == 2
    assert "fewer than two versions run it" in capsys.readouterr().err


def test_environments_are_listed_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    folder = tmp_path / "environments" / "jax-0.10.2"
    folder.mkdir(parents=True)
    about = {"requirements": ["jax==0.10.2"], "python": "3.11.7", "made_at": "2026-01-01"}
    (folder / "environment.json").write_text(json.dumps(about))
    assert main(["regress", "--environments"]) == 0
    assert "jax-0.10.2" in capsys.readouterr().out
    assert main(["regress", "--environments", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["requirements"] == ["jax==0.10.2"]
    assert main(["regress", "--remove", "jax-0.10.2"]) == 0
    assert not folder.exists()
    assert main(["regress", "--remove", "jax-0.10.2"]) == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "name what to run"),
        (["net:net", "--jax", "0.10.2"], "two versions at least are compared"),
        (["net:net", "--jax", "1,2", "-o", "x.txt"], "choose a name that ends in"),
    ],
)
def test_what_cannot_be_is_one_line(
    asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["regress", *asked]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
