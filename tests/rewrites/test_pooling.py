from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array, lax

from tests.rewrites.plain import applying, check, drawn, forced


def pooling(
    kind: str, sizes: tuple[int, int], strides: tuple[int, int], padding: str
) -> Callable[[Array], Array]:
    start, combine = {"max": (-jnp.inf, lax.max), "sum": (0.0, lax.add)}[kind]

    def pool(x: Array) -> Array:
        window, steps = (1, *sizes, 1), (1, *strides, 1)
        found: Array = lax.reduce_window(x, start, combine, window, steps, padding)
        return found

    return pool


sides = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=10, deadline=None)
@given(sides.filter(lambda each: each != (1, 1)), sides, st.sampled_from(["SAME", "VALID"]))
def test_pooling_by_slices(sizes: tuple[int, int], strides: tuple[int, int], padding: str) -> None:
    x = drawn(2, 9, 8, 3)
    check(pooling("max", sizes, strides, padding), "max-pool-as-slices", x, equal=True)
    check(pooling("sum", sizes, strides, padding), "sum-pool-as-slices", x)


HITS, BLOCKS = "max-pool-gradient-as-hits", "max-pool-gradient-as-blocks"
VALUES = {
    "ties": (0.0, 1.0, 2.0),
    "zeros of both signs": (0.0, -0.0, -1.0),
    "infinities": (jnp.inf, -jnp.inf, 0.0),
    "NaN": (jnp.nan, 1.0, 2.0),
}


@settings(max_examples=12, deadline=None)
@given(
    sides.filter(lambda each: each != (1, 1)),
    st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["SAME", "VALID"]),
    st.sampled_from(sorted(VALUES)),
)
def test_the_gradient_goes_where_it_goes_in_xla(
    sizes: tuple[int, int], strides: tuple[int, int] | None, padding: str, kind: str
) -> None:
    if (padding, kind) == ("SAME", "infinities"):
        return  # A window of -inf alone at a padded border: its gradient is lost, as stated.
    x = jnp.asarray(np.random.default_rng(0).choice(VALUES[kind], (2, 9, 8, 3)), jnp.float32)
    pool = pooling("max", sizes, strides or sizes, padding)
    weights = jnp.arange(1.0, pool(x).size + 1).reshape(pool(x).shape)
    gradient = jax.grad(lambda x: jnp.where(weights > 0, pool(x), 0.0).sum())

    def gradients(x: Array) -> Array:
        found: Array = jax.vjp(pool, x)[1](weights)[0]
        return found

    check(gradients, HITS, x)
    if strides is None or strides == sizes:
        check(gradients, BLOCKS, x, equal=True)
    assert (BLOCKS in applying(gradient, x)) == (strides is None or strides == sizes)


def test_a_form_of_a_maximum_is_derived_as_the_plain_one() -> None:
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, (2, 8, 8, 3)), jnp.float32)
    pool = pooling("max", (2, 2), (2, 2), "VALID")
    fast = forced(pool, "max-pool-as-slices", x)
    one, other = (jax.grad(lambda x, f=f: (f(x) ** 2).sum())(x) for f in (pool, fast))
    assert (one == other).all()


@settings(max_examples=15, deadline=None)
@given(sides.filter(lambda each: each != (1, 1)), st.sampled_from(["SAME", "VALID"]))
def test_the_gradient_of_a_separate_average(sizes: tuple[int, int], padding: str) -> None:
    x = drawn(2, 9, 8, 3)
    pool = pooling("sum", sizes, sizes, padding)
    check(jax.grad(lambda x: (pool(x) ** 2).sum()), "sum-pool-gradient-as-broadcast", x, equal=True)


def test_the_gradient_of_an_average() -> None:
    x = drawn(2, 9, 8, 3)
    pool = pooling("sum", (3, 2), (2, 2), "SAME")
    gradient = jax.grad(lambda x: (pool(x) ** 2).sum())
    check(gradient, "sum-pool-as-slices", x)
    assert "sum-pool-gradient-as-broadcast" not in applying(gradient, x)


def test_nan_propagates_through_a_maximum() -> None:
    x = jnp.zeros((1, 6, 6, 1)).at[0, 2, 2, 0].set(jnp.nan)
    check(pooling("max", (3, 3), (1, 1), "VALID"), "max-pool-as-slices", x, equal=True)


def test_long_windows_and_integers_do_not_match() -> None:
    assert not applying(pooling("max", (17, 1), (1, 1), "VALID"), jnp.ones((1, 20, 1, 1)))
    window = (1, 2, 2, 1)
    assert not applying(
        lambda x: lax.reduce_window(x, jnp.int32(0), lax.add, window, window, "VALID"),
        jnp.ones((1, 4, 4, 1), jnp.int32),
    )
