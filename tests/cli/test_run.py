"""From options to analyses: what reaches the measurement, what has no effect, and ``--strict``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest

from edgegraph.cli import main
from edgegraph.cli.job import Job
from edgegraph.cli.run import resolve
from edgegraph.errors import InputError
from tests import analyses
from tests.cli.conftest import make_analysis, make_latency

Asked = list[dict[str, Any]]


def test_options_reach_the_analysis(asked: Asked) -> None:
    options = "--batch 1 -b 8 -b 1 --input 28x28x1 --dtype bfloat16 --set width=64 --set flavor=nnx"
    more = "--option xla_cpu_enable_fast_math=true --stage lowered --json"
    assert main(["analyze", "models.cnn:small_cnn", *options.split(), *more.split()]) == 0
    resolved, first, second = asked
    assert resolved == {
        "spec": "models.cnn:small_cnn",
        "input_shape": (28, 28, 1),
        "dtype": "bfloat16",
        "arguments": {"width": "64", "flavor": "nnx"},
    }
    assert (first["batch"], second["batch"]) == (1, 8)
    assert first["options"] == {"xla_cpu_enable_fast_math": True}
    assert (first["stage"], first["target"], first["measure"]) == ("lowered", "cpu", False)


def test_an_axis_gets_its_size() -> None:
    spec = "models.transformer:transformer_decode"
    made = resolve(Job(spec=spec, axes=["length=8"], arguments=["width=32", "heads=4"]))
    assert made.name == "transformer_decode(length=8)"
    with pytest.raises(InputError, match="small_cnn has no axis 'length'; it has none besides"):
        resolve(Job(spec="models.cnn:small_cnn", axes=["length=8"]))


def test_it_measures_where_it_can(asked: Asked) -> None:
    main(["analyze", "a:b", "--json"])
    main(["analyze", "a:b", "--json", "--no-measure"])
    assert [call["measure"] for call in asked if "measure" in call] == [True, False]


def test_seconds_are_what_timing_the_layers_may_take(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "a:b", "--json", "--seconds", "5"]) == 0
    (given,) = (call["settings"] for call in asked if "settings" in call)
    assert (given.budget_s, given.limit_s) == (5.0, 15.0)
    assert main(["analyze", "a:b", "--seconds", "0"]) == 2
    assert "--seconds 0 must be positive" in capsys.readouterr().err


def test_quick_takes_less_time(asked: Asked) -> None:
    main(["analyze", "a:b", "--json"])
    main(["analyze", "a:b", "--json", "--quick"])
    usual, quick = (call["settings"] for call in asked if "settings" in call)
    assert usual is None
    assert quick.limit_s < 15


def test_conditions_reach_the_measurement(asked: Asked) -> None:
    main(["analyze", "a:b", "--json", "--throughput", "--cold", "--cores", "1"])
    main(["analyze", "a:b", "--json"])
    conditions = [
        (call["throughput"], call["cold"], call["cores"]) for call in asked if "cold" in call
    ]
    assert conditions == [(True, True, 1), (False, False, None)]


@pytest.mark.parametrize("option", ["--throughput", "--cold", "--cores 1"])
def test_conditions_without_a_measurement_are_refused(
    option: str, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "a:b", "--no-measure", *option.split()]) == 2
    assert f"{option.split()[0]} has no effect where nothing is timed" in capsys.readouterr().err


def test_the_trace_reaches_the_measurement(asked: Asked, tmp_path: Path) -> None:
    main(["analyze", "a:b", "--json"])
    main(["analyze", "a:b", "--json", "--no-trace"])
    main(["analyze", "a:b", "--json", "--trace", "--trace-dir", str(tmp_path)])
    traces = [(call["trace"], call["trace_dir"]) for call in asked if "trace" in call]
    assert traces == [(None, None), (False, None), (True, tmp_path)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--trace --no-measure", "--trace needs the program to run, and nothing is timed"),
        ("--trace-dir logs --stage lowered", "--trace-dir needs the program to run"),
        ("--trace-dir logs --no-trace", "--trace-dir keeps a trace, but --no-trace takes none"),
    ],
)
def test_a_trace_of_nothing_is_refused(
    asked: Asked, capsys: pytest.CaptureFixture[str], options: str, reason: str
) -> None:
    assert main(["analyze", "a:b", *options.split()]) == 2
    assert reason in capsys.readouterr().err


def test_depths_reach_the_measurement(asked: Asked) -> None:
    main(["analyze", "a:b", "--json", "--depth", "1", "--depth", "leaves"])
    main(["analyze", "a:b", "--json", "--depth", "all"])
    main(["analyze", "a:b", "--json"])
    depths = [call["depth"] for call in asked if "depth" in call]
    assert depths == [(1, None), "all", (None,)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--depth blocks", "--depth 'blocks' is not a depth; expected 0, 1, 2, ..., leaves or all"),
        ("--depth 1 --no-measure", "--depth has no effect where nothing is timed"),
    ],
)
def test_a_depth_without_meaning_is_refused(
    asked: Asked, capsys: pytest.CaptureFixture[str], options: str, reason: str
) -> None:
    assert main(["analyze", "a:b", *options.split()]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(("verdict", "code"), [("OK", 0), ("NOISY", 3), ("INVALID", 3)])
def test_strict_wants_a_clean_measurement(
    verdict: str,
    code: int,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = make_analysis(latency=make_latency(verdict))
    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", lambda *a, **k: found)
    assert main(["analyze", "a:b", "--json"]) == 0
    assert main(["analyze", "a:b", "--json", "--strict"]) == code
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2  # the result is there, clean or not
    assert (f"is {verdict}" in err) == (code == 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"other_latencies": (make_latency("NOISY"),)},
        {"throughputs": (analyses.throughput(1, 1e3), analyses.throughput(2, 1e3, "NOISY"))},
    ],
)
def test_strict_wants_all_that_was_asked_for(
    changes: dict[str, Any], asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(make_analysis(latency=make_latency()), **changes)
    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", lambda *a, **k: found)
    assert main(["analyze", "a:b", "--json"]) == 0
    assert main(["analyze", "a:b", "--json", "--strict"]) == 3


def test_strict_wants_a_measurement(asked: Asked) -> None:
    assert main(["analyze", "a:b", "--json", "--strict", "--no-measure"]) == 3


COMPILED = """
import jax
compiled = jax.jit(lambda x: x * 2).lower(jax.ShapeDtypeStruct((8,), "float32")).compile()
"""


def test_what_is_compiled_in_python_is_analysed_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "compiled_of_tests.py"
    path.write_text(COMPILED)
    spec = f"{path}:compiled"
    assert main(["analyze", spec, "--no-measure", "--device", "rpi5", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["totals"]["flops"], document["device"]["name"]) == (8, "Raspberry Pi 5 (8 GB)")
    assert main(["compare-devices", spec, "--devices", "device:rpi5"]) == 0
    capsys.readouterr()
    for words, said in [
        (
            ["analyze", spec, "--no-measure", "--batch", "4"],
            "--batch has no effect on what is comp",
        ),
        (["analyze", spec, "--target", "tpu:v5e"], "--target has no effect on what is compiled"),
        (["check", spec, "--stage", "lowered"], "--stage has no effect on what is compiled"),
        (["analyze", spec, "--no-measure", "--module", "m"], "--module and --device are for what"),
        (["fusion", spec], "is compiled already, and this compiles it anew; name the function"),
        (["sweep", spec, "--no-measure"], "is compiled already, and this compiles it anew"),
    ]:
        assert main(words) == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()[-1].replace(spec, "")) <= 200


def test_arguments_of_a_plain_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "plain-net.py").write_text("def fn(p, n):\n    return p['w'] * n\n")
    job = Job(spec=f"{tmp_path}/plain-net.py:fn", args=["p.w=f32[8,2]", "n=3"])
    call = resolve(job).call(1)
    assert [leaf.shape for leaf in jax.tree.leaves(call.abstract)] == [(8, 2)]
    with pytest.raises(InputError, match=r"needs n; type: edgegraph analyze .*net.py:fn --ar"):
        resolve(Job(spec=job.spec, args=["p.w=f32[8,2]"]))


TRAINS = """
import jax
import jax.numpy as jnp

def step(x, state):
    gradient = jax.grad(lambda w: jnp.sum((x @ w) ** 2))(state["w"])
    return state | {"w": state["w"] - 0.1 * gradient}
"""


def test_which_argument_holds_the_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "trains_of_tests.py").write_text(TRAINS)
    words = ["analyze", f"{tmp_path}/trains_of_tests.py:step", "--no-measure"]
    for argument in ("x=f32[5,3]", "state.w=f32[3,4]", "state.m=f32[3,4]"):
        words += ["--arg", argument]
    for said, count in ((None, None), ("state.w", 12), ("state['w']", 12), ("1", 24)):
        more = [] if said is None else ["--params", said]
        assert main([*words, *more, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["totals"]["params"] == count
    monkeypatch.setenv("COLUMNS", "130")
    assert main([*words, "--by", "layer"]) == 0
    total = next(line for line in capsys.readouterr().out.splitlines() if "total" in line)
    assert total.split()[1] == "?"
    assert main([*words, "--params", "weights"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == (
        "edgegraph: error: params='weights' names no argument with arrays, nor a path in one;"
        " the arguments are x, state"
    )
