from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from tests.rewrites.plain import applying, check, forced

INVERSE, SOLUTION = "inverse-of-2x2", "solution-of-2x2"
TRIANGLE, FACTOR = "triangle-by-substitution", "cholesky-written-out"
DRAWN = np.random.default_rng(0)


def matrices(condition: float, scale: float = 1.0) -> np.ndarray:
    """Return 64 matrices with these singular values: `scale`, and that over `condition`."""
    turned = np.linalg.qr(DRAWN.standard_normal((2, 64, 2, 2)))[0]
    values = scale * np.array([1.0, 1.0 / condition])
    return np.asarray((turned[0] * values) @ turned[1], np.float32)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_inverses_are_as_near_as_the_plain_ones(condition: float, scale: float) -> None:
    a = matrices(condition, scale)
    truth = np.linalg.inv(a.astype(np.float64))
    largest = np.abs(truth).max((-2, -1), keepdims=True)

    def off(found: Any) -> float:
        return float((np.abs(np.asarray(found, np.float64) - truth) / largest).max())

    plain, form = (
        jax.jit(each)(a) for each in (jnp.linalg.inv, forced(jnp.linalg.inv, INVERSE, a))
    )
    # A few units in the last place times the condition, in either form.
    assert off(form) <= max(2 * off(plain), 4 * condition * 2**-24)


@pytest.mark.parametrize("columns", [1, 3])
def test_equations(columns: int) -> None:
    a, b = matrices(10.0), DRAWN.standard_normal((64, 2, columns)).astype(np.float32)
    check(jnp.linalg.solve, SOLUTION, a, b)
    several = a.reshape(4, 16, 2, 2)
    check(jnp.linalg.solve, SOLUTION, several, b.reshape(4, 16, 2, columns))
    check(jnp.linalg.inv, INVERSE, several)


def test_gradients() -> None:
    a = matrices(10.0)

    def total(a: Array) -> Array:
        return jnp.asarray(jnp.sum(jnp.tanh(jnp.linalg.inv(a))))

    form = jax.grad(forced(total, INVERSE, a))(a)
    plain = jax.grad(total)(a)
    np.testing.assert_allclose(form, plain, atol=1e-4 * float(jnp.abs(plain).max()))


def test_singular_matrices_give_nothing_finite() -> None:
    a = np.tile(np.array([[1.0, 2.0], [2.0, 4.0]], np.float32), (64, 1, 1))
    a[1], a[2, 0, 0] = 0.0, np.nan
    found = np.asarray(forced(jnp.linalg.inv, INVERSE, a)(a))
    assert not np.isfinite(found[:3]).any()


def test_what_does_not_match() -> None:
    assert not {INVERSE, SOLUTION} & set(applying(jnp.linalg.inv, jnp.ones((64, 3, 3))))
    assert not {INVERSE, SOLUTION} & set(applying(jnp.linalg.inv, jnp.ones((4, 2, 2))))
    assert SOLUTION not in applying(jnp.linalg.solve, jnp.ones((64, 2, 2)), jnp.ones(2))

    def inv(x: Array) -> Array:
        return x

    named: Any = jax.jit(inv)
    assert INVERSE not in applying(lambda x: named(x), jnp.ones((64, 2, 2)))


def definite(rows: int) -> np.ndarray:
    a = DRAWN.standard_normal((32, rows, rows))
    return np.asarray(a @ a.transpose(0, 2, 1) + np.eye(rows), np.float32)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangles(lower: bool, transposed: bool, unit: bool) -> None:
    def solved(a: Array, b: Array) -> Array:
        return lax.linalg.triangular_solve(
            a, b, left_side=True, lower=lower, transpose_a=transposed, unit_diagonal=unit
        )

    for rows, columns in ((1, 1), (3, 1), (8, 4)):
        a, b = definite(rows) / rows, DRAWN.standard_normal((32, rows, columns))
        check(solved, TRIANGLE, a, b.astype(np.float32))


def test_equations_of_a_few_unknowns_by_cholesky() -> None:
    a, b = definite(4), DRAWN.standard_normal((32, 4, 1)).astype(np.float32)

    def solved(a: Any, b: Any) -> Array:
        return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(a), True), b)

    check(solved, TRIANGLE, a, b)
    check(solved, FACTOR, a, b)
    truth = np.linalg.solve(a.astype(np.float64), b)
    np.testing.assert_allclose(forced(solved, FACTOR, a, b)(a, b), truth, rtol=1e-3, atol=1e-4)

    def total(a: Array) -> Array:
        return jnp.sum(jnp.tanh(solved(a, b)))

    plain = jax.grad(total)(a)
    for rule in (TRIANGLE, FACTOR):
        np.testing.assert_allclose(jax.grad(forced(total, rule, a))(a), plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_factors(rows: int) -> None:
    a = definite(rows)
    check(jnp.linalg.cholesky, FACTOR, a)
    a[3], a[5, -1, -1], a[7] = -a[3], np.nan, 0.0  # none is positive definite
    found = jax.jit(forced(jnp.linalg.cholesky, FACTOR, a))(a)
    expected = jax.jit(jnp.linalg.cholesky)(a)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


def test_what_is_too_large_or_too_few_is_left_to_lapack() -> None:
    def factor_and_solve(a: Array) -> Array:
        return lax.linalg.triangular_solve(lax.linalg.cholesky(a), a[..., :1], left_side=True)

    rules = {TRIANGLE, FACTOR}
    assert not rules & set(applying(factor_and_solve, jnp.ones((32, 9, 9))))
    assert not rules & set(applying(factor_and_solve, jnp.ones((4, 3, 3))))
    assert rules <= set(applying(factor_and_solve, jnp.ones((32, 3, 3))))
    assert TRIANGLE not in applying(
        lambda a: lax.linalg.triangular_solve(a, a), jnp.ones((32, 3, 3))
    )
