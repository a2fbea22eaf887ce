"""``edgegraph show`` on a saved analysis; names and figures from the network itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgegraph.cli import main
from edgegraph.results.files import save
from tests import analyses
from tests.studies import fusion_studies, sweeps


@pytest.fixture
def saved(tmp_path: Path) -> str:
    return str(analyses.small_cnn(32).save(tmp_path / "small_cnn.edgegraph"))


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["show", *words]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    return out


def first_words(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def test_layers_stand_in_the_models_order_or_sorted(
    saved: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = ("conv1", "conv2", "dense1", "dense2")
    words = first_words(shown(capsys, monkeypatch, saved))
    assert [word for word in words if word in layers] == list(layers)
    # MACs of one image: 225,792, 3,612,672, 802,816 and 2,560.
    words = first_words(shown(capsys, monkeypatch, saved, "--sort", "macs"))
    assert [word for word in words if word in layers] == ["conv2", "dense1", "conv1", "dense2"]


def test_depth_leaves_out_what_is_deeper(
    saved: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = first_words(shown(capsys, monkeypatch, saved, "--depth", "0"))
    assert "SmallCNN" in words
    assert "conv1" not in words


def test_ops_come_by_what_they_take(
    saved: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(capsys, monkeypatch, saved, "--ops", "--sort", "flops").splitlines()
    ops = [line for line in lines if " conv2 " in line or " dense1 " in line or " conv1 " in line]
    assert " conv2 " in ops[0]
    assert "210 M" in ops[0]  # 3,276,800 products with real neighbours an image, 32 images


def test_json_is_that_of_analyze(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", saved, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == 32 * 4_643_840


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sort", "colour"], "--sort 'colour' is not a column; choose one of: time, flops"),
        (["--depth", "-1"], "--depth must be a non-negative integer, not -1"),
        (["--phase", "update"], "--phase 'update' is not in this analysis; it has: forward"),
    ],
)
def test_bad_input_is_one_line(
    saved: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", saved, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_study_is_shown_by_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweeps.saturating().save(tmp_path / "sweep.edgegraph")
    assert "knee: batch 8 is the smallest" in shown(capsys, monkeypatch, str(sweep))
    fusion = fusion_studies.study().save(tmp_path / "fusion.edgegraph")
    assert "all fusion helps" in shown(capsys, monkeypatch, str(fusion))
    assert main(["show", str(sweep), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["workload"]) == ("sweep", "small_cnn")


def test_what_chooses_layers_is_refused_on_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweeps.saturating().save(tmp_path / "sweep.edgegraph")
    assert main(["show", str(sweep), "--sort", "time"]) == 2
    assert "--sort chooses layers or ops of an analysis" in capsys.readouterr().err


def test_what_is_nothing_alone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = fusion_studies.study().steps[0].comparison
    assert step is not None
    saved = save(step, tmp_path / "comparison.edgegraph")
    assert main(["show", str(saved)]) == 2
    assert "cannot show a saved comparison of timings by itself" in capsys.readouterr().err
