"""What is told of operations that have a quicker form, and of advice that does not hold here."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import edgegraph as eg
from edgegraph.analysis.findings import find
from edgegraph.analysis.findings.forms import USUAL, FasterForm
from edgegraph.compiler.program import Program
from edgegraph.device.kernel_rates import KernelRate
from edgegraph.results.analysis import Analysis, Finding
from edgegraph.rewrites.rewriter import find_sites
from edgegraph.rewrites.rule import rules
from edgegraph.rewrites.timed import timed_forms_path
from tests import analyses
from tests.analysis.findings.programs import array


def separable(x: jax.Array, depthwise: jax.Array, pointwise: jax.Array) -> jax.Array:
    """Convolve every channel in one layer, and mix them in another."""
    with jax.named_scope("Net"):
        for name, kernel in (("depthwise", depthwise), ("pointwise", pointwise)):
            with jax.named_scope(name):
                x = lax.conv_general_dilated(
                    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
                    feature_group_count=x.shape[-1] // kernel.shape[2],
                )  # fmt: skip
    return x


@cache
def program() -> Program:
    shapes = array(1, 14, 14, 32), array(3, 3, 1, 32), array(1, 1, 32, 8)
    return eg.compile(separable, *shapes, name="separable")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    return timed_forms_path()


def analysed() -> Analysis:
    return eg.analyze(program(), device=analyses.DEVICE)


def told(analysis: Analysis) -> list[Finding]:
    return [each for each in analysis.findings if each.rule == "faster-form"]


def test_a_form_that_usually_wins_is_named_with_the_command(cached: Path) -> None:
    (finding,) = told(analysed())
    assert (finding.layer, finding.certainty) == ("Net/depthwise", "medium")
    assert "depthwise conv -> shifted products (1 site)" in finding.seen
    assert "`edgegraph improve SPEC`" in finding.try_next
    assert "gain_alone" not in finding.numbers


def test_what_was_timed_here_is_told_and_what_lost_is_not(cached: Path) -> None:
    depthwise, pointwise = (
        found.site.signature
        for found in find_sites(program().jaxpr, lambda s: s.name == "conv_general_dilated")
    )
    form = {"rule": "r", "title": "one -> other", "plain_s": 4e-3, "form_s": 1e-3}
    lost, won = [form | {"kept": False}], [form | {"kept": True}]
    cached.write_text(json.dumps({depthwise: lost, pointwise: won}))
    (finding,) = told(analysed())
    assert (finding.layer, finding.certainty) == ("Net/pointwise", "high")
    assert finding.numbers["gain_alone"] == 4
    assert "one -> other (1 site; 4 times as fast alone)" in finding.seen
    # A quarter of the time stays.
    assert finding.weight == pytest.approx(finding.numbers["share"] * 3 / 4)


def test_nothing_is_told_of_programs_for_other_devices(cached: Path) -> None:
    analysis = replace(analysed(), target="tpu:v5e")
    found = find(analysis, program().module, program().jaxpr)
    assert "faster-form" not in {each.rule for each in found}


def test_a_layer_far_under_its_roof_names_the_form(cached: Path) -> None:
    slow = analyses.measured(analysed(), seconds=1e-2)
    found = find(slow, program().module, program().jaxpr)
    (finding,) = (
        each for each in found if (each.rule, each.layer) == ("far-under-the-roof", "Net/depthwise")
    )
    assert "`edgegraph improve`: depthwise conv -> shifted products" in finding.try_next
    assert finding.try_next.startswith("a convolution in groups runs in slow code here")
    plain = [each for each in found if each.rule == "far-under-the-roof" and each != finding]
    assert all("groups" not in each.try_next for each in plain)


def test_the_rules_that_usually_win_are_registered() -> None:
    assert set(rules()) >= USUAL


def test_times_are_told_where_all_are_known() -> None:
    form = FasterForm(title="a -> b", sites=2, plain_s=None, form_s=None)
    assert str(form) == "a -> b (2 sites)"


def dense_advice(**changed: object) -> str:
    device = replace(analyses.DEVICE, origin="calibrated", **changed)  # type: ignore[arg-type]
    x, w = array(1, 2048), array(2048, 512)
    analysis = eg.analyze(lambda x, w: jnp.tanh(x @ w), args=(x, w), device=device)
    analysis = replace(analysis, batch=1)
    (finding,) = (each for each in find(analysis) if each.rule == "memory-bound-dense")
    return finding.try_next


def test_a_dtype_that_is_no_faster_here_is_not_advised() -> None:
    peaks = {"f32": 100e9, "bf16": 90e9}
    assert "narrower weights (bfloat16);" in dense_advice()  # of int8 nothing is known
    faster = peaks | {"s8": 200e9}
    assert "narrower weights (int8)" in dense_advice(peak_flops_per_s=faster)
    advice = dense_advice(peak_flops_per_s=peaks | {"s8": 100e9})
    assert "smaller weights" in advice
    assert "narrower" not in advice


def test_a_larger_batch_that_gains_nothing_here_is_not_advised() -> None:
    def rate(rows: int, rate_per_s: float) -> KernelRate:
        return KernelRate(
            kind="dot", dtype="f32", rows=rows, columns=512, depth=2048, rate_per_s=rate_per_s
        )

    assert "larger batch" in dense_advice(kernel_rates=(rate(1, 5e9), rate(32, 50e9)))
    assert "larger batch" not in dense_advice(kernel_rates=(rate(1, 5e9), rate(32, 5e9)))
