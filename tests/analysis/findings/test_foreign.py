"""Where rules keep silent: programs of plain functions, small and large."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.analysis.findings import RULES, find
from edgegraph.results.analysis import Analysis
from tests import analyses, plain_programs
from tests.analysis.findings.test_rules import found


@cache
def physics(bodies: int = plain_programs.BODIES) -> Analysis:
    function, arguments = plain_programs.physics(bodies)
    return eg.analyze(function, args=arguments, device=analyses.DEVICE)


@cache
def ode() -> Analysis:
    function, arguments = plain_programs.ode()
    return eg.analyze(function, args=arguments, device=analyses.DEVICE)


@cache
def sampler() -> Analysis:
    function, arguments = plain_programs.sampler()
    return eg.analyze(function, args=arguments, device=analyses.DEVICE)


@cache
def springs() -> Analysis:
    """Analyse a step whose only products are of 3 by 3: they are no dense layers."""

    def step(x: jax.Array, frames: jax.Array) -> jax.Array:
        return x + 0.1 * jnp.einsum("nij,nj->ni", frames, jnp.sin(x))

    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((7, 3), (7, 3, 3))]
    return eg.analyze(step, args=shapes, device=analyses.DEVICE)


def brief(analysis: Analysis) -> Analysis:
    """Pretend that it was measured: in all a microsecond, and half of that to launch it."""
    return analyses.measured(analysis, 1e-6)


SILENT: dict[str, Callable[[], Analysis]] = {
    "memory-bound-dense": springs,  # some hundred bytes
    "compute-bound-layer": springs,
    "far-under-the-roof": lambda: brief(sampler()),  # 4,350 kernels
    "faster-form": sampler,
    "no-library-kernel": sampler,
    "slow-function": ode,
    "dispatch-bound": ode,
    "overhead": ode,  # one function, started once
    "dominant-loop": physics,  # 35 kernels in 400 ns
    "exposed-transfers": ode,
    "rematerialisation": ode,
    "compiled-together": lambda: analyses.measured(sampler()),
    "fusion-recomputes": physics,  # 6,000 FLOP
    "library-fusion-hurts": ode,
    "padding-waste": springs,
    "dtype-conversions": sampler,
    "layout-changes": springs,
    "noisy-machine": lambda: analyses.measured(ode()),
    "unpriced-op": sampler,
    "low-coverage": lambda: analyses.small_cnn(1),
}
"""By rule, a program about which it has nothing to say."""


def test_every_rule_has_a_program_about_which_it_keeps_silent() -> None:
    assert SILENT.keys() == RULES.keys()


@pytest.mark.parametrize("rule", SILENT)
def test_a_rule_keeps_silent(rule: str) -> None:
    assert not [finding for finding in find(SILENT[rule]()) if finding.rule == rule]


def test_what_has_no_layer_is_said_to_have_none_and_how_to_see_it() -> None:
    (finding,) = found(physics(), "low-coverage")
    assert finding.seen == "100 % of the FLOPs belong to no layer that the graph names"
    assert "`--by function` and `--by line`" in finding.try_next
    # No advice about names saves any time.
    assert (finding.weight, finding.share, finding.gain) == (0, None, None)


def test_a_loop_of_unknown_length_is_not_told_to_unroll() -> None:
    def halve(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: jnp.max(x) > 1, lambda x: jnp.sin(x) * 0.5, x)

    shape = jax.ShapeDtypeStruct((8,), jnp.float32)
    (finding,) = found(eg.analyze(halve, args=(shape,), device=analyses.DEVICE), "dominant-loop")
    assert "vmap over many of these loops" in finding.try_next
    assert "unroll=" not in finding.try_next


def test_what_is_of_no_layer_is_looked_for_by_line() -> None:
    (finding,) = found(analyses.measured(physics(300), 1.0), "far-under-the-roof")
    assert finding.seen.startswith("what is of no layer takes 1 s, ")
    assert "`--by line` finds" in finding.try_next
