"""``edgegraph check``: a pull request that doubles a layer fails, one that renames passes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgegraph.cli import main
from tests import analyses
from tests.compare.networks import analysis

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
def test_bad_input_is_one_line(
    saved: tuple[str, str], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", saved[0], *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
