"""Whole studies, of this environment against itself; what is planted is found and named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.studies.fusion.result import WITHOUT_ANY
from edgegraph.studies.fusion.run import rung_options
from edgegraph.studies.regress import run as module
from edgegraph.studies.regress.run import regress
from edgegraph.studies.regress.turns import run_generation

HERE = [sys.executable, sys.executable]
ARGS = ["x=f32[64,64]"]
NET = """
import jax, jax.numpy as jnp

def net(x):
    with jax.named_scope("first"):
        x = jnp.tanh(x @ x)
    with jax.named_scope("second"):
        return jnp.exp(x - x.max(1, keepdims=True)).sum(1)
"""


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text(NET)
    return f"{tmp_path}/net.py:net"


def test_the_same_version_twice_is_the_same_program(spec: str) -> None:
    study = regress(spec, args=ARGS, python=HERE, measure=False)
    assert study.same_program is True
    assert study.whose is None
    assert study.began is None
    first, second = study.versions
    assert first.optimized == second.optimized
    assert first.lowered == second.lowered
    assert second.version.endswith(" (2)")
    # The product alone: 2 * 64**3.
    assert first.flops is not None
    assert first.flops >= 2 * 64**3
    assert not study.layers


def test_an_option_that_is_planted_is_found_and_is_xla_s(spec: str) -> None:
    planted = rung_options({})[WITHOUT_ANY]
    study = regress(
        spec, args=ARGS, python=HERE, measure=False,
        options_after=planted,
    )  # fmt: skip
    assert study.same_program is False
    assert study.whose == "XLA"
    assert {each.name for each in study.settings if each.kind == "option"} == {*planted}
    assert {each.layer for each in study.layers} >= {"second"}
    assert all(each.whose == "XLA" for each in study.layers)


def test_a_version_that_does_not_run_it_is_a_row_and_the_rest_goes_on(
    spec: str, tmp_path: Path
) -> None:
    study = regress(
        spec, args=ARGS, python=[*HERE, str(tmp_path / "bin" / "python")], measure=False
    )
    (failed,) = [row for row in study.versions if row.error is not None]
    assert "there is no interpreter at" in str(failed.error)
    assert study.same_program is True


def test_where_none_runs_it_one_line_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(x):\n    raise ValueError('not today')\n")
    with pytest.raises(EdgeGraphError, match=r"no version runs it; .*ValueError: not today"):
        regress(f"{tmp_path}/bad.py:f", args=ARGS, python=HERE, measure=False)


def test_few_processes_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match="processes must be at least 3, not 2"):
        regress(spec, args=ARGS, python=HERE, processes=2)


def test_a_study_that_is_interrupted_goes_on_where_it_was(
    spec: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    timed: list[int] = []

    def counted(*given: object, seed: int, **more: object) -> object:
        if len(timed) == 2:
            timed.append(-1)
            raise KeyboardInterrupt
        timed.append(seed)
        return run_generation(*given, seed=seed, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run_generation", counted)
    asked = {"args": ARGS, "python": HERE, "processes": 3, "seconds": 0.1}
    with pytest.raises(KeyboardInterrupt):
        regress(spec, **asked)  # type: ignore[arg-type]
    assert len(list((tmp_path / "cache" / "regress").rglob("*.json"))) == 2
    study = regress(spec, **asked)  # type: ignore[arg-type]
    assert timed == [0, 1, -1, 2]
    assert study.timing is not None
    assert len(study.timing.processes) == 3
    assert study.verdict in ("no difference", "NOISY")
    assert isinstance(study, eg.Regression)
    # A study that is done leaves nothing to go on from: the next one measures anew.
    assert not list((tmp_path / "cache" / "regress").rglob("*.json"))
