"""``edgegraph analyze``, ``show`` and ``models``; figures from the networks themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.results.files import save
from tests import analyses
from tests.studies import fusion_studies, sweeps

ROOT = Path(__file__).parent.parent.parent

Asked = list[dict[str, Any]]


def test_json_is_one_object_a_line(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "a:b", "-b", "1", "-b", "32", "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["batch"], second["batch"]) == (1, 32)
    assert second["workload"] == "dense"
    assert second["totals"]["macs"] == 25_690_112
    assert second["totals"]["xla_bytes"] is None
    assert second["layers"][0]["layer"] == "dense"
    assert second["layers"][0]["time_s"] is None
    # 51,380,224 FLOP over 4 bytes for each of 32*3136, 3136*256 and 32*256 elements
    assert second["layers"][0]["intensity_flops_per_byte"] == pytest.approx(14.0944, rel=1e-4)
    assert second["memory"] is None  # not compiled
    assert second["latency"]["median_s"] == 1e-3
    assert "samples_s" not in second["latency"]
    assert second["compiled_together"] == []
    assert [row["gain_s"] for row in second["what_if"]] == [None]
    assert second["findings"][0]["numbers"] == {"ratio": 2.0}
    assert second["environment"]["cores"] == os.cpu_count()
    assert second["device"] is None


def test_tables_are_not_cut_where_stdout_is_a_file(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["analyze", "a:b", "--no-measure"]) == 0
    out = capsys.readouterr().out
    assert "dense" in out
    assert "seen" in out
    assert "…" not in out
    assert "edgegraph calibrate" in out


def test_it_saves_to_a_file(asked: Asked, tmp_path: Path) -> None:
    target = tmp_path / "new" / "result.edgegraph"
    assert main(["analyze", "a:b", "--json", "-o", str(target)]) == 0
    assert target.is_file()


def test_it_saves_several_to_a_folder(asked: Asked, tmp_path: Path) -> None:
    assert main(["analyze", "a:b", "--json", "-b", "1", "-b", "2", "-o", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dense_b1.edgegraph",
        "dense_b2.edgegraph",
    ]


def test_programs_of_one_name_do_not_overwrite_each_other_in_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def analyze(program: str) -> dict[str, bytes]:
        module = f"HloModule jit_f ENTRY e {{ p = f32[8] parameter(0) ROOT r = f32[8] {program} }}"
        (tmp_path / "module.hlo").write_text(module)
        assert main(["analyze", str(tmp_path / "module.hlo"), "-o", str(tmp_path / "out")]) == 0
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "jit_f_2.edgegraph").write_bytes(b"of someone else")
    first = analyze("negate(p)")
    again = analyze('negate(p), metadata={op_name="f/neg"}')  # which does the same
    assert sorted(again) == sorted(first) == ["jit_f.edgegraph", "jit_f_2.edgegraph"]
    assert again["jit_f.edgegraph"] != first["jit_f.edgegraph"]
    capsys.readouterr()
    second = analyze("add(p, p)")
    assert second == again | {"jit_f_3.edgegraph": second["jit_f_3.edgegraph"]}
    assert "jit_f.edgegraph is of another program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["a:b", "--batch", "0"], "--batch must be a positive integer, not 0"),
        (["a:b", "--input", "28x0"], "--input '28x0' is not a shape"),
        (["a:b", "--set", "width"], "--set 'width' is not KEY=VALUE"),
        (["a:b", "--set", "w=1", "--set", "w=2"], "--set gives 'w' twice"),
        (["a:b", "--axis", "length=0"], "--axis length=0 is no size; expected a positive integer"),
        (["{file}", "--axis", "length=4"], "--axis has no effect on the file"),
        (["a:b", "--measure", "--stage", "lowered"], "--measure needs --target cpu"),
        (["nothing-here"], "SPEC 'nothing-here' is neither a file nor package.module:attribute"),
        (["{file}", "--batch", "2"], "--batch has no effect on the file"),
        (["{file}", "--measure"], "--measure has no effect on the file"),
        (["a:b", "-b", "1", "-b", "2", "-o", "x.edgegraph"], "-o x.edgegraph is one file"),
        (["a:b", "-o", "{file}/x.edgegraph"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_2(
    options: list[str],
    reason: str,
    asked: Asked,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "dump.txt"
    file.write_text("HloModule m")
    assert main(["analyze", *(option.replace("{file}", str(file)) for option in options)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert reason in err
    assert not [call for call in asked if "measure" in call]


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


def test_forty_ops_are_shown_unless_all_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(x: jax.Array) -> jax.Array:
        for _ in range(60):
            x = jnp.tanh(x)
        return x

    x = jax.ShapeDtypeStruct((8,), "float32")
    analysis = eg.analyze(many, args=(x,), stage="lowered", device=analyses.DEVICE)
    saved = str(analysis.save(tmp_path / "many.edgegraph"))
    assert "and 20 ops more; --all shows them" in shown(capsys, monkeypatch, saved, "--ops")
    assert "more" not in shown(capsys, monkeypatch, saved, "--ops", "--all")


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
def test_bad_input_to_show_is_one_line(
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


def test_the_zoo_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows["models.cnn:small_cnn"]) >= {"name", "params", "macs", "input", "source"}
    # conv 9*1*32+32, conv 9*32*64+64, dense 3136*256+256, dense 256*10+10
    assert rows["models.cnn:small_cnn"]["params"] == 824_458
    # MACs at batch 32 by layer over 32: 225,792 + 3,612,672 + 802,816 + 2,560
    assert rows["models.cnn:small_cnn"]["macs"] == 4_643_840
    assert main(["models"]) == 0
    assert "4,643,840" in capsys.readouterr().out


def test_outside_of_the_checkout_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 2
    assert "source checkout" in capsys.readouterr().err


def test_what_has_no_layers_is_shown_by_function_or_as_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    saved = str(save(analyses.physics(), tmp_path / "a.edgegraph"))
    assert main(["show", saved]) == 0
    out = capsys.readouterr().out
    assert "by function, since layers cover 0 % of the time; --by layer shows them." in out
    assert "  forces" in out
    assert main(["show", saved, "--by", "line", "--all"]) == 0
    out = capsys.readouterr().out
    assert "apart = x[:, None] - x[None]" in out
    assert "since layers" not in out
    assert main(["show", saved, "--by", "layer"]) == 0
    assert "(unattributed)" in capsys.readouterr().out
    assert main(["show", saved, "--by", "line", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["view"] == "line"
    assert sum(row["flops"] for row in told["lines"] if row["leaf"]) == told["totals"]["flops"]
    assert told["functions"] is None


@pytest.mark.parametrize("command", ["analyze", "show", "report", "export"])
def test_what_ops_are_not_added_up_by_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = [] if command in ("analyze", "show") else ["-o", str(tmp_path / "a.md")]
    assert main([command, "a:b", "--by", "file", *output]) == 2
    told = capsys.readouterr().err
    assert "--by 'file' is unknown; choose one of: layer, function, line" in told


def test_a_measurement_is_not_replaced_by_what_was_not_measured(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.edgegraph"
    assert main(["analyze", "a:b", "-o", str(target)]) == 0
    measured = target.read_bytes()
    assert main(["analyze", "a:b", "--no-measure", "-o", str(target)]) == 2
    assert "was measured, and this analysis is not" in capsys.readouterr().err
    assert target.read_bytes() == measured
    assert main(["analyze", "a:b", "--no-measure", "--force", "-o", str(target)]) == 0
    assert target.read_bytes() != measured
    assert main(["analyze", "a:b", "-o", str(tmp_path)]) == 0
    assert main(["analyze", "a:b", "--no-measure", "-o", str(tmp_path)]) == 0
    assert "dense_b1.edgegraph was measured; this one is kept as" in capsys.readouterr().err
    assert (tmp_path / "dense_b1_2.edgegraph").is_file()


def test_o_writes_json_and_makes_no_folder_of_an_ending(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.json"
    assert main(["analyze", "a:b", "-o", str(target)]) == 0
    assert json.loads(target.read_text("utf-8"))["workload"] == "dense"
    assert main(["analyze", "a:b", "-o", str(tmp_path / "out.csv")]) == 2
    assert "choose a name that ends in .edgegraph or .json, or a folder" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
