from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from tests.rewrites.plain import applying, check, drawn


@pytest.mark.parametrize("length", [128, 300])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("rule", ["cumsum-as-dots", "cumsum-as-scan"])
def test_cumulative_sums(length: int, axis: int, reverse: bool, rule: str) -> None:
    x = drawn(*((length, 3) if axis == 0 else (3, length)))
    check(lambda x: lax.cumsum(x, axis, reverse), rule, x)
    check(jax.grad(lambda x: (lax.cumsum(x, axis, reverse) ** 2).sum()), rule, x)


@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_products(reverse: bool) -> None:
    x = jnp.exp(drawn(3, 200) / 9).at[1, 50].set(jnp.nan)
    check(lambda x: lax.cumprod(x, 1, reverse), "cumprod-as-scan", x)


def test_cumulative_sums_of_integers_overflow_as_they_do() -> None:
    x = jnp.full((200, 3), 2**30, jnp.int32)
    check(lambda x: lax.cumsum(x, 0), "cumsum-as-scan", x, equal=True)


def test_an_infinity_stays_in_its_row() -> None:
    x = jnp.ones((2, 200)).at[1, 50].set(jnp.inf)
    check(lambda x: jnp.cumsum(x, 1), "cumsum-as-scan", x, equal=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_maxima(reverse: bool) -> None:
    x = drawn(3, 200).at[1, 50].set(jnp.nan)
    check(lambda x: lax.cummax(x, 1, reverse), "cummax-as-scan", x, equal=True)
    check(lambda x: lax.cummin(x, 1, reverse), "cummin-as-scan", x, equal=True)


def test_short_and_integer_scans_do_not_match() -> None:
    assert not applying(jnp.cumsum, jnp.ones(64))
    assert not applying(lambda x: lax.cummax(x, 0), jnp.ones(200, jnp.int32))
