from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array, lax

from tests.rewrites.plain import applying, check, forced

SORT, COUNT = "sort-by-integer-keys", "quantile-by-counting"
TOP = "first-of-sorted-as-top-k"


def drawn(seed: int, shape: tuple[int, ...], special: tuple[float, ...] = ()) -> Array:
    """Return numbers with ties, and among them `special`."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(shape).round(1).astype(np.float32)
    if special:
        x = np.where(generator.random(shape) < 0.2, generator.choice(special, shape), x)
    return jnp.asarray(x, jnp.float32)


def same_bits(function: Callable[..., Any], rule: str, *arguments: Any) -> None:
    plain, form = jax.jit(function), jax.jit(forced(function, rule, *arguments))
    for one, other in zip(
        jax.tree.leaves(plain(*arguments)), jax.tree.leaves(form(*arguments)), strict=True
    ):
        # All NaN count as one.
        left, right = (np.where(np.isnan(x), 1e9, x) for x in map(np.asarray, (one, other)))
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()


KINDS: dict[str, tuple[float, ...]] = {
    "ties": (),
    "zeros of both signs": (0.0, -0.0),
    "negative zeros": (-0.0, -1.0),
    "infinities and NaN": (np.inf, -np.inf, np.nan, -np.nan),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("stable", [True, False])
def test_sorting(kind: str, axis: int, stable: bool) -> None:
    x = drawn(0, (3, 200) if axis else (200, 3), KINDS[kind])
    if stable:
        same_bits(lambda x: lax.sort(x, dimension=axis), SORT, x)
        same_bits(lambda x: jnp.argsort(x, axis), SORT, x)
        same_bits(lambda x: lax.sort_key_val(x, x * 2, dimension=axis), SORT, x)
    else:
        check(lambda x: lax.sort(x, dimension=axis, is_stable=False), SORT, x, equal=True)


def test_the_gradient_of_sorting() -> None:
    def loss(x: Array) -> Array:
        return (jnp.sort(x) * jnp.arange(200.0)).sum()

    x = drawn(1, (200,))
    check(jax.grad(loss), SORT, x, equal=True)
    np.testing.assert_array_equal(jax.grad(forced(loss, SORT, x))(x), jax.grad(loss)(x))


def test_other_sorts_do_not_match() -> None:
    assert not applying(jnp.sort, jnp.ones(64))
    assert not applying(jnp.sort, jnp.ones(200, jnp.int32))
    x = jnp.ones(200)
    assert not applying(lambda x: lax.sort((x, x), num_keys=2), x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("function", [jnp.sort, jnp.argsort])
def test_the_first_of_what_is_sorted(function: Callable[..., Array], axis: int, kind: str) -> None:
    x = drawn(3, (3, 200) if axis else (200, 3), KINDS[kind])
    same_bits(lambda x: lax.slice_in_dim(function(x, axis), 0, 7, axis=axis), TOP, x)


def test_top_k_stands_for_both_equations_in_loops_too() -> None:
    def function(x: Array) -> Array:
        return lax.scan(lambda c, row: (c, jnp.sort(-row)[:5] + c), 1.0, x)[1]

    x = drawn(4, (4, 200))
    same_bits(function, TOP, x)
    gradient = jax.grad(lambda x: (function(x) ** 2).sum())
    fast = jax.grad(lambda x: (forced(function, TOP, x)(x) ** 2).sum())
    np.testing.assert_array_equal(fast(x), gradient(x))


def test_other_slices_of_what_is_sorted_do_not_match() -> None:
    x = jnp.ones((3, 200))
    assert TOP not in applying(lambda x: jnp.sort(x)[:, 1:8], x)
    assert TOP not in applying(lambda x: jnp.sort(x)[:2, :8], x)
    assert TOP not in applying(lambda x: jnp.sort(x)[:, :100], x)
    assert TOP not in applying(lambda x: jnp.sort(x, descending=True)[:, :8], x)
    assert TOP not in applying(lambda x: jax.jit(jnp.sin)(x)[:, :8], x)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(128, 260),
    st.sampled_from([None, 0, 1]),
    st.sampled_from(["linear", "lower", "higher", "midpoint"]),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 0.5, 0.937, 1.0]),
    st.sampled_from(sorted(KINDS)),
)
def test_quantiles(
    length: int, axis: int | None, method: str, keepdims: bool, fraction: float, kind: str
) -> None:
    x = drawn(length, (length, 3) if axis == 0 else (3, length), KINDS[kind])

    def quantile(x: Array) -> Array:
        return jnp.quantile(x, fraction, axis, method=method, keepdims=keepdims)

    check(quantile, COUNT, x, equal=method != "linear")


@pytest.mark.parametrize("length", [256, 257])
def test_medians(length: int) -> None:
    x = drawn(2, (3, length)).at[1, 7].set(jnp.nan)
    check(lambda x: jnp.median(x, 1), COUNT, x, equal=True)
    check(jnp.median, COUNT, x[0], equal=True)


def test_the_gradient_of_a_median() -> None:
    def median(x: Array) -> Array:
        return jnp.median(x)

    x = drawn(0, (201,))
    np.testing.assert_array_equal(jax.grad(forced(median, COUNT, x))(x), jax.grad(median)(x))


def test_other_quantiles_do_not_match() -> None:
    def quantile(x: Array, fraction: Array) -> Array:
        return x.sum() * fraction

    x = jnp.ones(300)
    assert COUNT not in applying(jax.jit(quantile), x, jnp.float32(0.5))
    assert COUNT not in applying(lambda x: jnp.quantile(x, jnp.asarray([0.1, 0.5])), x)
    assert COUNT not in applying(lambda x: jnp.quantile(x, 0.5), x[:20])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("function", [jnp.argmax, jnp.argmin])
def test_places_of_extremes(kind: str, axis: int, function: Callable[..., Array]) -> None:
    rule = f"{function.__name__}-by-equality"
    x = drawn(0, (40, 30), KINDS[kind])
    same_bits(lambda x: function(x, axis), rule, x)
    same_bits(lambda x: lax.argmax(x, axis, jnp.uint8), "argmax-by-equality", x)
    same_bits(lambda x: function(x, axis), rule, jnp.full((4, 4), jnp.nan))
    same_bits(lambda x: function(x, axis), rule, (x * 2).astype(jnp.int32))
    same_bits(lambda x: function(x, axis), rule, x > 0)


def test_the_place_of_one_number_does_not_match() -> None:
    assert not applying(lambda x: jnp.argmax(x, 0), jnp.ones((1, 200)))
