"""``edgegraph diff``, ``check`` and ``history`` on saved analyses and on a database.

A pull request that doubles a layer fails ``check``, one that renames passes.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pandas as pd
import pytest

import edgegraph as eg
from edgegraph.cli import main
from tests import analyses
from tests.compare.networks import analysis
from tests.studies import sweeps


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    before = analysis().save(tmp_path / "before.edgegraph")
    after = analysis(kernel=5).save(tmp_path / "after.edgegraph")
    return str(before), str(after)


def test_it_tells_layers_and_ops_in_80_columns(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["diff", *pair]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "of the ops 2 changed" in out
    assert "conv2" in out
    assert "conv1" not in out
    # 55,296 + 294,912 + 40,960 MACs become 55,296 + 819,200 + 40,960.
    assert "+134 %" in out
    assert main(["diff", *pair, "--all"]) == 0
    assert "conv1" in capsys.readouterr().out


def test_json_of_a_diff_has_the_attributes(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *pair, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["empty"]
    changed = {row["layer"] for row in found["layer_changes"] if row["kind"] == "changed"}
    assert changed == {"Net", "Net/conv2"}
    assert [change["kind"] for change in found["op_changes"]] == ["changed", "changed"]


def test_nothing_is_told_of_the_same(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", pair[0], pair[0]]) == 0
    assert "the same" in capsys.readouterr().out


def test_files_hold_it(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["diff.html", "diff.md", "diff.csv", "diff.edgegraph"]
    outputs = [word for name in names for word in ("-o", str(tmp_path / name))]
    assert main(["diff", *pair, *outputs]) == 0
    capsys.readouterr()
    assert main(["diff", *pair, "--markdown"]) == 0
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
        (["models.cnn:small_cnn", "x.edgegraph"], "is neither a file nor"),
        (["models.cnn:small_cnn", "models.cnn:x", "--no-measure"], "has no attribute 'x'"),
        (["a", "b", "-b", "1", "-b", "2"], "two programs are compared; give one --batch"),
        (["a", "b", "-o", "diff.pdf"], "choose a name that ends in .html, .md"),
        (["a", "b", "--json", "--markdown"], "--json and --markdown exclude each other"),
    ],
)
def test_bad_input_to_diff_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


FUNCTIONS = """
import jax

def once(x, w):
    return x @ w

def twice(x, w):
    return x @ w @ w

shapes = [jax.ShapeDtypeStruct((n, 8), "float32") for n in (4, 8)]
compiled = jax.jit(twice).lower(*shapes).compile()
"""


def test_functions_and_what_is_compiled_go_into_diff_and_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two_functions_of_tests.py"
    path.write_text(FUNCTIONS)
    arguments = ["--arg", "x=f32[4,8]", "--arg", "w=f32[8,8]"]
    outputs = ["--no-measure", "-o", str(tmp_path / "diff.csv")]
    assert main(["diff", f"{path}:once", f"{path}:twice", *arguments, *outputs]) == 0
    total, *_ = csv.DictReader((tmp_path / "diff.csv").read_text("utf-8").splitlines())
    assert (total["macs_before"], total["macs_after"]) == (str(4 * 8 * 8), str(2 * 4 * 8 * 8))
    for spec, code in ((f"{path}:once", 0), (f"{path}:twice", 1)):
        assert main(["check", spec, *arguments, "--max-macs", "256"]) == code
    assert main(["check", f"{path}:compiled", "--max-macs", "511"]) == 1
    assert main(["diff", f"{path}:compiled", f"{path}:compiled", "--no-measure"]) == 0
    assert "the same" in capsys.readouterr().out


def test_check_times_no_file_unasked(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    path = tmp_path / "stablehlo"
    shape = jax.ShapeDtypeStruct((8, 8), "float32")
    path.write_text(jax.jit(lambda x: x @ x).lower(shape).as_text())
    main(["check", str(path), "--max-macs", "512"])
    main(["check", str(path), "--max-latency", "1s"])
    assert [call["measure"] for call in asked] == [False, True]


NETWORK = """
import jax
from flax import linen as nn
import edgegraph as eg


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        hidden = nn.relu(nn.Dense(WIDTH, name="FIRST")(x))
        return nn.Dense(10, name="LAST")(hidden)


def model():
    return eg.Workload.from_flax(Net(), input_shape=(64,))
"""


def write(folder: Path, *, width: int = 32, first: str = "first", last: str = "last") -> None:
    text = NETWORK.replace("WIDTH", str(width)).replace("FIRST", first).replace("LAST", last)
    (folder / "network.py").write_text(text)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgegraph", "check", "network:model", *words]
    path = f"{Path(__file__).parent.parent.parent}"
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{path}:{folder}", "PATH": "/usr/bin:/bin", "HOME": str(folder),
             "COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_fails_a_doubled_layer_and_passes_a_renamed_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.edgegraph]\nbaseline = "base.edgegraph"\nmax-flops = "+1%"\nmax-params = "+0"\n'
    )
    write(tmp_path)
    made = run(tmp_path, "--update")
    assert (made.returncode, made.stdout) == (0, f"Baseline: {tmp_path}/base.edgegraph\n")

    write(tmp_path, first="embedding", last="logits")
    renamed = run(tmp_path)
    assert renamed.returncode == 0, renamed.stdout + renamed.stderr
    assert "passed" in renamed.stdout

    write(tmp_path, width=64)
    doubled = run(tmp_path)
    assert doubled.returncode == 1
    # 64 x 32 weights and 32 biases become twice as many; 32 x 10 + 10 become 64 x 10 + 10.
    assert (
        "parameters, grew: Net/first 2,080 → 4,160 (+100 %); Net/last 330 → 650" in doubled.stdout
    )
    assert "FLOPs, grew: Net/first" in doubled.stdout


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    before = analysis().save(tmp_path / "before.edgegraph")
    after = analysis(kernel=5).save(tmp_path / "after.edgegraph")
    return str(after), str(before)


def test_exit_codes(saved: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    after, before = saved
    assert main(["check", after, "--baseline", before, "--max-flops", "+1%"]) == 1
    assert "FLOPs, grew: Net/conv2" in capsys.readouterr().out
    assert main(["check", before, "--baseline", before]) == 0
    assert main(["check", after, "--max-flops", "+1%"]) == 2
    assert "needs a baseline" in capsys.readouterr().err
    words = ["check", before, "--baseline", before, "--max-latency", "+5%"]
    assert main(words) == 0
    assert "what is checked was not measured" in capsys.readouterr().out
    assert main([*words, "--strict"]) == 3
    assert "is undecided: what is checked was not measured" in capsys.readouterr().err


def test_noise_does_not_fail(
    saved: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = replace(analysis(), latency=analyses.latency(1e-3)).save(tmp_path / "q.edgegraph")
    noisy = replace(analysis(), latency=analyses.latency(3e-3, verdict="NOISY"))
    words = ["check", str(noisy.save(tmp_path / "n.edgegraph")), "--baseline", str(quiet)]
    assert main([*words, "--max-latency", "+5%"]) == 0
    assert "the measurement is NOISY" in capsys.readouterr().out
    assert main([*words, "--max-latency", "+5%", "--strict"]) == 3


def test_json_and_markdown(saved: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", saved[0], "--baseline", saved[1], "--max-macs", "+1%"]
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (check,) = found["checks"]
    assert (found["passed"], check["verdict"]) == (False, "failed")
    assert check["culprits"][0]["layer"] == "Net/conv2"
    assert main([*words, "--markdown"]) == 1
    assert "| MACs | 391 kMAC | 915 kMAC | +134 % | +1% | failed |" in capsys.readouterr().out


def test_limits_of_the_command_line_come_before_those_of_the_project(
    saved: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.edgegraph]\nbaseline = "before.edgegraph"\nmax-macs = "+1%"\n'
    )
    assert main(["check", saved[0]]) == 1
    assert main(["check", saved[0], "--max-macs", "+200%"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--baseline", "none.edgegraph"], "no baseline at none.edgegraph; make it with --update"),
        (["--max-flops", "1%"], "growth has a sign; write +1%"),
        (["--update"], "--update writes the baseline; name its file"),
        (["--json", "--markdown"], "--json and --markdown exclude each other"),
    ],
)
def test_bad_input_to_check_is_one_line(
    saved: tuple[str, str], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", saved[0], *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.fixture
def database(tmp_path: Path) -> Path:
    def made(batches: Iterable[int], rate: float, day: int) -> Any:
        whole = sweeps.sweep(*(sweeps.point(batch, rate * batch) for batch in batches))
        when = f"2026-01-{day:02}T10:00:00+00:00"
        return replace(whole, environment=replace(whole.environment, created_at=when))

    with eg.open_store(tmp_path / "runs.db") as store:
        store.put(made([1, 8], 1000.0, 1))
        store.put(made([1, 8], 500.0, 8))
    return tmp_path / "runs.db"


def test_history_follows_a_figure(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGEGRAPH_STORE", str(database))
    assert main(["history", "small_cnn"]) == 0
    assert capsys.readouterr().out.count("+100.0 %  slower") == 2
    assert main(["history", "small_cnn", "--batch", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["value"] for entry in found["runs"]] == [1e-3, 2e-3]
    table, plot = database.parent / "a.csv", database.parent / "a.svg"
    assert (
        main(["history", "small_cnn", "--metric", "flops", "-o", f"{table}", "-o", f"{plot}"]) == 0
    )
    assert list(pd.read_csv(table)["change"].dropna()) == [0.0, 0.0]
    assert plot.read_text().startswith("<?xml")


def test_history_takes_a_spec(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "models.cnn:small_cnn", "--store", str(database)]) == 0
    assert "small_cnn: latency" in capsys.readouterr().out


def test_history_tells_what_there_is(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = database.parent / "runs.csv"
    assert main(["history", "--store", str(database), "-o", str(every)]) == 0
    assert "small_cnn 4 sweep cpu 2026-01-01 10:00 2026-01-08 10:00" in " ".join(
        capsys.readouterr().out.split()
    )
    assert len(pd.read_csv(every)) == 4
    assert main(["history", "--store", str(database), "--json"]) == 0
    assert [one["batch"] for one in json.loads(capsys.readouterr().out)["runs"]] == [1, 8, 1, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "has no run of 'nothing'; it has small_cnn"),
        (["small_cnn", "--metric", "macs"], "has 'macs'; there is bytes"),
        (["small_cnn", "-o", "a.txt"], "ends in .csv, .parquet, .png, .svg, .pdf"),
        (["-o", "a.png"], "ends in .csv, .parquet"),
    ],
)
def test_bad_input_to_history_is_one_line(
    database: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "--store", str(database), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_no_database_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 2
    assert "--store runs.db, or set EDGEGRAPH_STORE" in capsys.readouterr().err
    assert main(["history", "--store", str(tmp_path / "none.db")]) == 2
    assert "no run database at" in capsys.readouterr().err


def test_other_versions_are_compiled_for_this_host_only(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "models.cnn:small_cnn", "--jax", "0.10.0,0.10.2"]
    assert main([*words, "--target", "tpu:v5e"]) == 2
    assert "--jax and --target tpu:v5e exclude each other" in capsys.readouterr().err
    assert main([*words, "--max-latency", "3ms"]) == 2
    assert "write how much longer than the first it may take" in capsys.readouterr().err
