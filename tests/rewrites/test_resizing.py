from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from tests.rewrites.plain import applying, check, drawn, forced

RULE = "resize-by-taps"


@pytest.mark.parametrize(
    ("old", "new", "method", "antialias"),
    [
        ((2, 5, 7, 3), (2, 10, 21, 3), "bilinear", True),
        ((1, 8, 9, 2), (1, 13, 4, 2), "bilinear", False),
        ((9, 8), (4, 3), "linear", True),  # smoothed: 6 neighbours of each
        ((2, 3, 7, 6), (2, 3, 5, 11), "bicubic", False),
        ((1, 1, 6), (1, 4, 6), "cubic", True),
    ],
)
def test_images_of_any_size(
    old: tuple[int, ...], new: tuple[int, ...], method: str, antialias: bool
) -> None:
    check(lambda x: jax.image.resize(x, new, method, antialias), RULE, drawn(*old))


def test_its_derivative_is_that_of_the_plain_form() -> None:
    def function(x: Array) -> Array:
        return jnp.asarray(jnp.sum(jax.image.resize(x, (1, 8, 8, 2), "bilinear") ** 2))

    x = drawn(1, 4, 4, 2)
    made = jax.grad(forced(function, RULE, x))
    np.testing.assert_allclose(
        jax.jit(made)(x), jax.jit(jax.grad(function))(x), rtol=1e-5, atol=1e-6
    )
    # A sum over places, as of gather, is slow.
    assert "scatter" not in str(jax.make_jaxpr(made)(x))


def test_nan_stays_beside_its_place() -> None:
    def function(x: Array) -> Any:
        return jax.image.resize(x, (1, 16, 16, 1), "bilinear")

    x = jnp.zeros((1, 8, 8, 1)).at[0, 4, 4, 0].set(jnp.nan)
    # The plain form spreads it over lines, and from there over the whole.
    assert np.isnan(function(x)).all()
    assert np.isnan(jax.jit(forced(function, RULE, x))(x)).sum() == 4 * 4


def test_what_does_not_match() -> None:
    x = drawn(1, 40, 40, 2)
    for method in ("nearest", "lanczos3"):
        assert RULE not in applying(lambda x, m=method: jax.image.resize(x, (1, 80, 80, 2), m), x)
    # Each new one is made of twenty in either direction.
    assert RULE not in applying(lambda x: jax.image.resize(x, (1, 4, 4, 2), "bilinear"), x)
    assert RULE not in applying(
        lambda x: jax.image.resize(x.astype("bfloat16"), (1, 80, 80, 2), "bilinear"), x
    )

    def moved(x: Array) -> Any:
        places = jnp.array([0.5, 0.5])
        return jax.image.scale_and_translate(
            x, (1, 80, 80, 2), (1, 2), 2 * jnp.ones(2), places, "bilinear"
        )

    assert RULE not in applying(moved, x)
