from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import edgegraph as eg
from edgegraph.rewrites.rewriter import Found, find_sites
from edgegraph.studies.improve.cache import TimedForms
from edgegraph.studies.improve.elsewhere import Expected, held_against, judge_forms, judged
from edgegraph.studies.improve.result import Improvement
from tests.compiler.test_ahead import needs
from tests.studies.improve.improvements import change, improvement

X, W = jnp.ones((1, 8, 8, 16)), jnp.ones((1, 1, 16, 32))
NUMBERS = ("NHWC", "HWIO", "NHWC")


def pointwise(x: Any, w: Any) -> Any:
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NUMBERS)


@pytest.fixture
def found() -> Found:
    return find_sites(jax.make_jaxpr(pointwise)(X, W))[0]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, found: Found) -> TimedForms:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    timed = TimedForms()
    timed.put(found.site.signature, [change("pointwise-as-dot", 3.0, 2.0, kept=True)])
    return timed


def test_both_times_come_from_one_source() -> None:
    plain, other = Expected(3.0, 4.0, None), Expected(1.0, 1.0, 1.0)
    estimate = held_against(plain, other)
    assert estimate is not None
    assert (estimate.gain, estimate.source) == (3.0, "compiler")
    estimate = held_against(plain, Expected(None, 2.0, 1.0))
    assert estimate is not None
    assert (estimate.gain, estimate.source) == (2.0, "estimated")
    assert held_against(Expected(1.0, None, None), Expected(None, 1.0, 1.0)) is None


def test_forms_are_judged_beside_what_was_measured_here(found: Found, known: TimedForms) -> None:
    # A Raspberry Pi has no compiler here: its roof by the catalogue's figures counts.
    changes = judge_forms(found, allow=(), target="device:rpi5", known=known)
    [dot] = [each for each in changes if each.rule == "pointwise-as-dot"]
    assert (dot.time_source, dot.gain_here) == ("roof", 1.5)
    assert dot.plain_s > 0


def test_a_whole_that_is_expected_to_take_as_long_is_taken_back(found: Found) -> None:
    workload = eg.Workload.from_function(pointwise, lambda _: (X, W))
    kept = replace(change("pointwise-as-dot", 3.0, 2.0, kept=True), signature=found.site.signature)
    study = improvement(target="device:rpi5", changes=(kept,), timing=None, outputs=())
    study = judged(study, workload, {"batch": 1, "target": "device:rpi5"})
    # A 1x1 convolution is that dot: the same work under the same roof.
    assert study.estimate is not None
    assert study.estimate.gain == pytest.approx(1.0, rel=0.2)
    assert not study.kept


@needs("tpu:v5e")
def test_a_tpu_compiler_judges_its_own_program(found: Found, known: TimedForms) -> None:
    changes = judge_forms(found, allow=(), target="tpu:v5e", known=known)
    assert {each.time_source for each in changes} == {"compiler"}


def test_a_study_of_a_device_elsewhere_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    study: Improvement = eg.improve(pointwise, args=(X, W), target="device:rpi5")
    assert study.target == "device:rpi5"
    assert study.timing is None
    assert {each.time_source for each in study.changes} == {"roof"}
    assert not study.options
