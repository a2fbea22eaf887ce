from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from edgegraph.rewrites.prepared import held_operands, split
from edgegraph.rewrites.rewriter import find_sites
from tests.rewrites.plain import drawn

W = drawn(8, 16)
X = drawn(4, 8, seed=1)


def halves(function: Any, *arguments: Any, held: int = 1) -> tuple[Any, list[tuple[int, ...]]]:
    """Return what a split function gives, and the shapes of what was prepared."""
    made = split(function, arguments, held)
    prepared = jax.jit(made.prepare)(*arguments[:held])
    assert [(each.shape, each.dtype) for each in prepared] == [
        (each.shape, each.dtype) for each in made.values
    ]
    return jax.jit(made.run)(prepared, *arguments[held:]), [each.shape for each in prepared]


def count(function: Any, *arguments: Any) -> list[str]:
    return [each.site.name for each in find_sites(jax.make_jaxpr(function)(*arguments))]


def test_weights_are_rounded_once() -> None:
    def function(w: Array, x: Array) -> Array:
        scale = jnp.max(jnp.abs(w), 0) / 127
        return jnp.asarray((x @ jnp.round(w / scale)) * scale)

    found, shapes = halves(function, W, X)
    np.testing.assert_allclose(found, function(W, X), rtol=1e-5)
    assert sorted(shapes) == [(8, 16), (16,)]
    made = split(function, (W, X), 1)
    assert not {"round", "div", "reduce_max"} & set(count(made.run, made.values, X))


def test_views_and_what_is_spread_are_made_where_they_are_needed() -> None:
    def function(weights: Any, x: Array) -> Array:
        w, bias = weights
        spread = jnp.broadcast_to(jnp.exp(bias), (4, 16))
        return jnp.asarray(x @ w + spread * jnp.arange(16.0) + w[1:2].reshape(1, 16))

    weights = (W, W[2])
    found, shapes = halves(function, weights, X)
    np.testing.assert_allclose(found, function(weights, X), rtol=1e-5)
    # The weights themselves, and the exponential of one row, not of four.
    assert sorted(shapes) == [(8, 16), (16,)]


def test_the_body_of_a_jit_is_split() -> None:
    @jax.jit
    def layer(w: Array, x: Array) -> Array:
        return jnp.tanh(x @ jnp.sort(w))

    def function(w: Array, x: Array) -> Any:
        return layer(w, x)

    found, shapes = halves(function, W, X)
    np.testing.assert_allclose(found, function(W, X), rtol=1e-5)
    made = split(function, (W, X), 1)
    assert shapes == [(8, 16)]
    assert "sort" not in count(made.run, made.values, X)


def test_effects_and_data_stay_where_they_are() -> None:
    seen: list[int] = []

    def function(w: Array, x: Array) -> tuple[Array, Array, int]:
        jax.debug.callback(lambda _: seen.append(1), w)
        return w, jnp.zeros(3), 7

    (weights, zeros, seven), _ = halves(function, W, X)
    jax.effects_barrier()
    assert len(seen) == 1
    np.testing.assert_array_equal(weights, W)
    np.testing.assert_array_equal(zeros, 0.0)
    assert int(seven) == 7


def test_loops_read_what_was_prepared() -> None:
    def function(w: Array, x: Array) -> Any:
        square = jnp.sort(w[:, :8])
        return lax.fori_loop(0, 3, lambda _, x: jnp.tanh(x @ square), x)

    found, shapes = halves(function, W, X)
    np.testing.assert_allclose(found, function(W, X), rtol=1e-5)
    assert shapes == [(8, 8)]


def test_gradients_of_data_pass() -> None:
    def function(w: Array, x: Array) -> Array:
        return jnp.asarray(jnp.sum(jax.nn.relu(x @ jnp.sort(w)) ** 2))

    made = split(function, (W, X), 1)
    found = jax.grad(made.run, argnums=1)(made.prepare(W), X)
    np.testing.assert_allclose(found, jax.grad(function, argnums=1)(W, X), rtol=1e-5)


def test_which_operands_are_weights() -> None:
    def function(w: Array, x: Array) -> Array:
        return (x @ w.T.T) * jnp.exp(w[0])

    [dot] = [each for each in held_operands(function, (W, X), 1).items() if "dot" in each[0]]
    assert dot[1] == (1,)
    assert not held_operands(function, (W, X), 0)
