from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

import edgegraph as eg
from edgegraph.rewrites.rewriter import find_sites, rewritten
from tests.rewrites.plain import applying, drawn, forced

RULE = "depthwise-as-shifts"
X = drawn(2, 8, 8, 4)
W = drawn(3, 3, 1, 4, seed=1) * 0.3


def conv(x: Array) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    with jax.named_scope("blur"):
        return lax.conv_general_dilated(
            x, W, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=4
        )


ruled = jax.custom_vjp(conv)
ruled.defvjp(lambda x: (conv(x), None), lambda _, g: (2.0 * g,))
ruled_forward = jax.custom_jvp(conv)
ruled_forward.defjvp(lambda p, t: (conv(p[0]), 3.0 * t[0]))

PROGRAMS: dict[str, Callable[[Array], Any]] = {
    "plain": conv,
    "jit": jax.jit(lambda x: jax.nn.relu(conv(x))),
    "jit in jit": jax.jit(lambda x: jax.jit(conv)(x) + 1.0),
    "scan": lambda x: lax.scan(lambda c, _: (conv(c), c.sum()), x, None, length=3),
    "while": lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, conv(c[1])), (0, x)),
    "cond": lambda x: lax.cond(x.sum() > 0, conv, lambda y: -y, x),
    "remat": jax.checkpoint(conv),
    "custom_vjp": ruled,
    "custom_jvp": ruled_forward,
    "vmap": lambda x: jax.vmap(lambda y: conv(y[None])[0])(x),
}


def rewrite(name: str) -> Callable[[Array], Any]:
    return forced(PROGRAMS[name], RULE, X)


def convolutions(function: Callable[..., Any]) -> int:
    return str(jax.make_jaxpr(function)(X)).count("conv_general_dilated[")


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_replaced_wherever_it_stands(name: str) -> None:
    fast = rewrite(name)
    assert convolutions(PROGRAMS[name]) > 0
    assert convolutions(fast) == 0
    for one, other in zip(
        jax.tree.leaves(PROGRAMS[name](X)), jax.tree.leaves(jax.jit(fast)(X)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"while"}))
def test_derivatives_follow_the_rules_of_the_program(name: str) -> None:
    def gradient(function: Callable[[Array], Any]) -> Array:
        def total(x: Array) -> Array:
            return jnp.stack([leaf.sum() for leaf in jax.tree.leaves(function(x))]).sum()

        found: Array = jax.grad(total)(X)
        return found

    np.testing.assert_allclose(
        gradient(PROGRAMS[name]), gradient(rewrite(name)), atol=1e-4, rtol=1e-4
    )


def test_it_vmaps_and_exports() -> None:
    fast = rewrite("jit")
    batch = jnp.stack([X, 2.0 * X])
    np.testing.assert_allclose(
        jax.vmap(PROGRAMS["jit"])(batch), jax.vmap(fast)(batch), atol=1e-5, rtol=1e-5
    )
    artifact = jax.export.export(jax.jit(fast))(X)
    again = jax.export.deserialize(artifact.serialize())
    np.testing.assert_allclose(again.call(X), PROGRAMS["jit"](X), atol=1e-5, rtol=1e-5)


def test_scopes_and_lines_stay() -> None:
    analysis = eg.analyze(jax.jit(rewrite("plain")), args=(X,), stage="lowered")
    counted = analysis.ops[analysis.ops["flops"] > 0]
    assert set(counted["layer"]) == {"blur"}
    assert all(re.search(r"test_rewriter\.py:\d+", str(source)) for source in counted["source"])


def test_donation_stays() -> None:
    function = jax.jit(conv, donate_argnums=0)
    fast = jax.jit(rewritten(function, dict.fromkeys(applying(function, X)[RULE], RULE)))
    [outer] = jax.make_jaxpr(fast)(X).eqns
    [inner] = outer.params["jaxpr"].eqns
    assert inner.params["donated_invars"] == (True,)


def test_effects_stay() -> None:
    seen: list[float] = []

    def function(x: Array) -> Array:
        jax.debug.callback(lambda value: seen.append(float(value)), x.sum())
        return conv(x)

    jax.block_until_ready(jax.jit(forced(function, RULE, X))(X))
    jax.effects_barrier()
    assert len(seen) == 1


def test_what_is_no_array_is_handed_through() -> None:
    def function(x: Array, times: int, *, flip: bool) -> Array:
        for _ in range(times):
            x = conv(x)
        return -x if flip else x

    [site] = find_sites(jax.make_jaxpr(conv)(X))
    fast = rewritten(function, {site.site.signature: RULE})
    np.testing.assert_allclose(
        fast(X, 2, flip=True), function(X, 2, flip=True), atol=1e-5, rtol=1e-5
    )


def test_sites_are_counted_with_their_loops() -> None:
    found = find_sites(jax.make_jaxpr(PROGRAMS["scan"])(X))
    [site] = [each for each in found if each.site.primitive.name == "conv_general_dilated"]
    assert site.executions == 3
    assert site.scopes == ("blur",)


def test_decisions_that_do_not_fit_are_refused() -> None:
    [site] = find_sites(jax.make_jaxpr(conv)(X))
    with pytest.raises(eg.EdgeGraphError, match="'no-such' does not apply"):
        rewritten(conv, {site.site.signature: "no-such"})(X)


def test_sites_that_are_not_wanted_are_left_out() -> None:
    jaxpr = jax.make_jaxpr(lambda x: jnp.sin(x) + jnp.cos(x))(1.0)
    [found] = find_sites(jaxpr, lambda site: site.name == "sin")
    assert found.site.primitive.name == "sin"
