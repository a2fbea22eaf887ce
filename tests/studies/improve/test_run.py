from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array, lax

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.rewrites.rewriter import Found
from edgegraph.studies.improve import run
from edgegraph.studies.improve.proof import Proof
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import Change, OptionTrial, OutputCheck
from models.mobilenet import mobilenet_v2
from tests.studies.improve.improvements import improvement

X = jnp.linspace(-1.0, 1.0, 2 * 8 * 8 * 4).reshape(2, 8, 8, 4)


def blur(x: Array) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    w = jnp.linspace(0.1, 1.0, 36).reshape(3, 3, 1, 4)
    with jax.named_scope("blur"):
        return lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=4
        )


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """Times that are made up: every form is twice as fast, and so is the whole."""
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    timed: list[str] = []

    def time_forms(found: Found, **settings: Any) -> list[Change]:
        timed.append(found.site.primitive.name)
        return [
            Change(
                rule="depthwise-as-shifts", title="a -> b", exactness="reassociating",
                signature=found.site.signature, scopes=(), executions=1, plain_s=2.0, form_s=1.0,
                difference=0.0, kept=True,
            )
        ]  # fmt: skip

    monkeypatch.setattr(run, "time_forms", time_forms)
    for step in ("without_idle", "with_options", "with_donation"):
        monkeypatch.setattr(run, step, lambda study, *_: study)
    monkeypatch.setattr(run, "compare_timings", lambda *a, **k: improvement().timing)
    return timed


def test_a_function_is_improved_and_stays_the_same(pretended: list[str]) -> None:
    study = eg.improve(blur, args=(X,))
    assert study.speedup == 4.0
    assert study.changes[0].scopes == ("blur",)
    assert study.outputs[0].agrees
    np.testing.assert_allclose(study.function(X), blur(X), atol=1e-5)
    np.testing.assert_allclose(study.applied_to(blur)(X), blur(X), atol=1e-5)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(study.function)(X))


def test_layers_of_a_model_are_named(pretended: list[str]) -> None:
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv = nnx.Conv(4, 4, (3, 3), feature_group_count=4, rngs=rngs)

        def __call__(self, x: Array) -> Array:
            return self.conv(x)

    study = eg.improve(eg.Workload.from_flax(Net, (8, 8, 4)))
    assert study.changes[0].scopes == ("Net/conv",)


def test_what_was_timed_is_not_timed_again(
    pretended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    option = OptionTrial(name="xla_cpu_multi_thread_eigen", value=False, ratio=0.9, kept=True)
    tried: list[str] = []

    def with_options(study: Improvement, *_: Any) -> Improvement:
        tried.append(study.workload)
        return replace(study, options=(option,))

    monkeypatch.setattr(run, "with_options", with_options)
    first, second = (eg.improve(blur, args=(X,)) for _ in range(2))
    assert pretended == ["conv_general_dilated"]
    assert tried == ["blur"]
    assert first.changes == second.changes
    assert first.options == second.options == (option,)


def test_results_that_move_take_the_change_back(
    pretended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OutputCheck(name="y", largest=1.0, difference=0.1, sensitivity=0.0)
    monkeypatch.setattr(Proof, "check", lambda *_: (found,))
    study = eg.improve(blur, args=(X,))
    assert study.timing is None
    assert [change.reason for change in study.changes] == ["results moved too far"]


@pytest.mark.parametrize(
    ("ended", "interrupted", "proven"),
    [
        ("without_idle", "trying the whole", False),
        ("with_options", "trying the whole", False),
        ("with_donation", "trying the whole", False),
        ("without_moved", "comparing the results", False),
        ("compare_timings", "comparing the times", True),
    ],
)
def test_an_interruption_keeps_what_was_found(
    pretended: list[str],
    monkeypatch: pytest.MonkeyPatch,
    ended: str,
    interrupted: str,
    proven: bool,
) -> None:
    def end(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, ended, end)
    study = eg.improve(blur, args=(X,))
    assert study.interrupted == interrupted
    assert study.timing is None
    assert bool(study.outputs) is proven
    assert len(study.decisions) == 1
    assert study.conclusions[0].startswith(
        f"interrupted while {interrupted}; 1 kind of sites is kept"
    )
    np.testing.assert_allclose(study.function(X), blur(X), atol=1e-5)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match="seconds must be positive, not 0"):
        eg.improve(blur, args=(X,), seconds=0)
    with pytest.raises(InputError, match="without arguments"):
        eg.improve(blur)
    with pytest.raises(InputError, match="allow has 'fp4'; expected bf16, int8, fast-math"):
        eg.improve(blur, args=(X,), allow=("fp4",))
    with pytest.raises(InputError, match="tolerance must be a share"):
        eg.improve(blur, args=(X,), tolerance=2)


def test_tolerances_go_with_permissions() -> None:
    assert run._tolerance(None, ()) == 1e-6
    assert run._tolerance(None, ("bf16", "int8")) == 0.1
    assert run._tolerance(1e-3, ("bf16",)) == 1e-3


def test_weights_are_prepared(pretended: list[str]) -> None:
    weights = jnp.linspace(0.1, 1.0, 36).reshape(3, 3, 1, 4)

    def scaled(w: Array, x: Array) -> Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, w / jnp.sum(w), (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=4
        )

    study = eg.improve(scaled, args=(weights, X), weights=1, prepare=True)
    assert study.prepared
    assert study.prepare_s is not None
    prepared = study.prepare(weights)
    expected = scaled(weights, X + 1)
    np.testing.assert_allclose(study.prepared_function(prepared, X + 1), expected, atol=1e-5)
    np.testing.assert_allclose(study.function(weights, X + 1), expected, atol=1e-5)
    assert "div" not in str(jax.make_jaxpr(study.prepared_function)(prepared, X))
    assert "its weights are prepared once" in str(study.conclusions)


def test_what_has_no_weights_is_not_prepared() -> None:
    with pytest.raises(InputError, match="'blur' has no weights to prepare"):
        eg.improve(blur, args=(X,), prepare=True)
    with pytest.raises(InputError, match="weights must be from 0 to 1"):
        eg.improve(blur, args=(X,), weights=2)
    with pytest.raises(InputError, match="leave out one of prepare and target"):
        eg.improve(blur, args=(X,), weights=1, prepare=True, target="device:rpi5")


@pytest.mark.slow
@pytest.mark.skipif(
    "EDGEGRAPH_ALL_NETWORKS" not in os.environ, reason="set EDGEGRAPH_ALL_NETWORKS=1 to run it"
)
def test_mobilenet_keeps_its_layers_and_macs() -> None:
    workload = mobilenet_v2()
    study = eg.improve(workload, seconds=60, processes=3)
    assert {change.rule for change in study.changes if change.kept} >= {"depthwise-as-shifts"}
    plain, other = (eg.analyze(each, batch=1) for each in (workload, study.improved_workload))
    # Published: 300.77 M multiply-adds.
    assert plain.totals["macs"] == other.totals["macs"] == 300_774_272
    by_layer = [
        each.layers.query("leaf").set_index(["layer", "phase"])["macs"] for each in (plain, other)
    ]
    assert by_layer[0].to_dict() == by_layer[1].to_dict()
    assert plain.totals["flops_coverage"] == pytest.approx(other.totals["flops_coverage"], abs=0.01)
