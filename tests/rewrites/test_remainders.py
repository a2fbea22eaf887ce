from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from tests.rewrites.plain import applying, drawn, forced

RULE = "remainder-as-product"
DRAWN = np.random.default_rng(0)


def same(x: np.ndarray, y: np.ndarray) -> None:
    """Hold every bit against the C library's remainder."""
    form = forced(lax.rem, RULE, x, y)
    found = np.asarray(jax.jit(form)(x, y))
    with np.errstate(invalid="ignore"):
        truth = np.fmod(x, y)
    np.testing.assert_array_equal(found.view(np.int32), truth.view(np.int32))


@pytest.mark.parametrize("largest", [1.0, 40.0, 4000.0])
def test_remainders_are_those_of_the_c_library(largest: float) -> None:
    y = (DRAWN.lognormal(0, 9, 20_000) * DRAWN.choice([-1, 1], 20_000)).astype(np.float32)
    same((y * DRAWN.uniform(-largest, largest, y.size)).astype(np.float32), y)


def test_multiples_and_their_neighbours() -> None:
    y = np.repeat(DRAWN.lognormal(0, 1, 500).astype(np.float32), 40)
    whole = (y * np.tile(np.arange(1, 41) * 97, 500)).astype(np.float32)
    for x in (whole, np.nextafter(whole, np.float32(0)), np.nextafter(-whole, np.float32(9e9))):
        same(x, y)
    same(np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0], np.float32), np.ones(6, np.float32))


@pytest.mark.parametrize(
    ("x", "y"), [(1e30, 0.3), (np.nan, 1.0), (np.inf, 1.0), (1.0, np.inf), (3e-39, 1e-39)]
)
def test_what_is_out_of_range_is_computed_as_plain(x: float, y: float) -> None:
    numbers, divisors = np.array([[x, 5.0], [y, 3.0]], np.float32)
    form = jax.jit(forced(lax.rem, RULE, numbers, divisors))
    np.testing.assert_array_equal(form(numbers, divisors), jax.jit(lax.rem)(numbers, divisors))


def test_functions_that_take_remainders() -> None:
    x = drawn(64, 32)

    def wrapped(x: Array) -> Array:
        return x % 0.3 + x // 0.7 + jnp.fmod(x, 2.0)

    form = forced(wrapped, RULE, x)
    np.testing.assert_array_equal(jax.jit(form)(x), jax.jit(wrapped)(x))

    def total(x: Array) -> Array:
        return jnp.sum(x * (x % 0.3))

    np.testing.assert_array_equal(jax.grad(forced(total, RULE, x))(x), jax.grad(total)(x))
    assert RULE not in applying(lambda x: x % 3, jnp.arange(8))
