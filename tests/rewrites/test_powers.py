from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from edgegraph.rewrites.rule import rules
from tests.rewrites.plain import applying, forced

SPECIAL = (0.0, -0.0, jnp.inf, jnp.nan, -1.0)


def values(dtype: str) -> Array:
    drawn = np.random.default_rng(0).lognormal(0, 2, 500)
    return jnp.asarray([*drawn, *SPECIAL], dtype)


def near(function: Callable[[Array], Array], rule: str, x: Array, truth: object) -> None:
    """Check a form against the truth in float64, value by value."""
    found = np.asarray(jax.jit(forced(function, rule, x))(x), np.float64)
    allowed = {"float32": 3e-6, "bfloat16": 2**-8}[str(x.dtype)]
    np.testing.assert_allclose(found, np.asarray(truth), rtol=allowed)


@pytest.mark.parametrize("power", [7.0, 2.0, 0.5, 1.5, -0.5, -1.0, -2.5, 12.0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore:.*encountered in power:RuntimeWarning")
def test_powers_by_products(power: float, dtype: str) -> None:
    x = values(dtype)
    x = x[(x > 1e-3) & (x < 1e3) | ~(jnp.abs(x) > 0) | jnp.isinf(x)]
    near(lambda x: x**power, "power-as-products", x, np.asarray(x, np.float64) ** power)


@pytest.mark.filterwarnings("ignore:.*encountered in power:RuntimeWarning")
def test_powers_by_logarithms() -> None:
    x = values("float32")
    assert rules()["power-as-exponential"].exactness == "lower precision"
    near(lambda x: x**0.3, "power-as-exponential", x, np.asarray(x, np.float64) ** 0.3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cube_roots(dtype: str) -> None:
    x = jnp.concatenate([values(dtype), -values(dtype)])
    near(jnp.cbrt, "cube-root-as-exponential", x, np.cbrt(np.asarray(x, np.float64)))


def test_tangents() -> None:
    x = jnp.linspace(-1.5, 1.5, 400)
    near(jnp.tan, "tangent-as-quotient", x, np.tan(np.asarray(x, np.float64)))
    assert str(jnp.signbit(forced(jnp.tan, "tangent-as-quotient", x)(-jnp.zeros(400)))[0]) == "True"


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (lambda x: x**1.5, "power-as-products"),
        (lambda x: x**0.3, "power-as-exponential"),
        (jnp.cbrt, "cube-root-as-exponential"),
        (jnp.tan, "tangent-as-quotient"),
        (lambda x: jnp.arcsin(x / 9), "arcsine-as-arctangent"),
        (lambda x: jnp.arccos(x / 9), "arccosine-as-arctangent"),
    ],
)
def test_derivatives(function: Callable[[Array], Array], rule: str) -> None:
    x = jnp.asarray([0.0, 0.5, 1.0, 1.4, 7.0])
    fast = forced(function, rule, x)
    one, other = (jax.jit(jax.grad(lambda x, f=f: f(x).sum()))(x) for f in (function, fast))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_what_is_not_known_does_not_match() -> None:
    x = jnp.ones(5)
    assert not applying(lambda x, y: lax.pow(x, y), x, x)  # the exponent is an operand
    assert "power-as-products" not in applying(lambda x: x**0.3, x)
    assert "power-as-products" not in applying(lambda x: x**99.0, x)
    assert not applying(lambda x: lax.pow(x, jnp.int32(3)) * 0 + 1j, x * 1j)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("arcsin", "arcsine-as-arctangent"), ("arccos", "arccosine-as-arctangent")],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_arcs(name: str, rule: str, dtype: str) -> None:
    drawn = np.random.default_rng(0).uniform(-1, 1, 500)
    ends = [-1.0, 1.0, 0.0, -0.0, 1 - 2**-20, 2**-20 - 1, 1e-30, 1.5, -2.0, np.nan, np.inf]
    x = jnp.asarray([*drawn, *ends], dtype)
    truth = getattr(np, name)(np.asarray(x, np.float64))
    near(getattr(jnp, name), rule, x, truth)


def test_exponents_tell_sites_apart() -> None:
    found = applying(lambda x: x**1.5 + x**2.5, jnp.ones(5))
    assert len(found["power-as-products"]) == 2
