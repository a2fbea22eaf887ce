"""The command: what it asks for, what it prints, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgegraph.cli import main
from tests.studies.servings import point, serving

PAIR = ["serve", "models.transformer:transformer_prefill", "models.transformer:transformer_decode"]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what was asked for; the answer is made up, and has no times at context 1 and 2."""
    asked: list[dict[str, Any]] = []

    def serve(prefill: Any, decode: Any, **values: Any) -> Any:
        asked.append({"names": (prefill().name, decode().name), **values})
        if values["contexts"] == [1]:
            return serving(point(1, 1, output_token_s=None, error="decode: out of memory"))
        if values["contexts"] == [2]:
            return serving(point(1, 2, output_token_s=None, time_source=None))
        budget_s = values["max_output_token_s"]
        return serving(point(1, 128, verdict="NOISY"), point(4, 128), max_output_token_s=budget_s)

    monkeypatch.setattr("edgegraph.studies.serve.run.serve", serve)
    return asked


def test_options_reach_the_study(
    served: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("t.csv", "t.png", "t.html", "t.edgegraph")]
    output = [part for file in files for part in ("-o", str(file))]
    more = [
        "--context",
        "128,512",
        "--batch",
        "1:4",
        "--max-latency",
        "20ms",
        "--target",
        "tpu:v5e",
    ]
    sizes = ["--set", "width=64", "--set", "heads=4"]
    assert main([*PAIR, *more, *sizes, "--max-first-token", "1s", *output]) == 0
    (asked,) = served
    assert asked["names"] == ("transformer_prefill", "transformer_decode")
    assert (asked["contexts"], asked["batches"], asked["target"]) == (
        [128, 512], [1, 2, 4], "tpu:v5e",
    )  # fmt: skip
    assert (asked["max_output_token_s"], asked["max_first_token_s"]) == (0.02, 1.0)
    out = capsys.readouterr().out
    assert "budget at length 128: batch 4: 286 tokens/s" in out
    assert all(file.stat().st_size > 200 for file in files)
    assert main(["show", str(files[3])]) == 0
    assert "budget at length 128: batch 4" in capsys.readouterr().out


def test_json_and_strict(served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PAIR, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["batch"] for row in found["points"]] == [1, 4]
    assert found["turns"][0]["bound"] == "memory"
    assert main([*PAIR, "--strict"]) == 3
    assert "batch 1 at length 128 is NOISY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--context", "0"], "--context '0': '0' is neither a positive size nor a span"),
        (["--batch", "x"], "--batch 'x': 'x' is neither"),
        (["--max-latency", "20"], "--max-latency '20' is not a time"),
        (["--max-first-token", "fast"], "--max-first-token 'fast' is not a time"),
        (["--context", "1"], "no point has times; decode: out of memory"),
        (["--context", "2"], "no point has times; nothing was measured, and no device is known"),
        (["-o", "x.txt"], "ends in .edgegraph, .csv, .png, .svg, .pdf"),
    ],
)
def test_bad_input_is_one_line(
    served: list[dict[str, Any]],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*PAIR, *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_workload_without_a_context_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["models.cnn:small_cnn", "models.transformer:transformer_decode"]
    assert main(["serve", *pair]) == 2
    said = "which axis is the context is not clear: small_cnn has none; transformer_decode has"
    assert said in capsys.readouterr().err
