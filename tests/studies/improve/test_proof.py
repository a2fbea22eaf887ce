from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.rewrites.rewriter import find_sites
from edgegraph.rewrites.rule import Site, register_rewrite, unregister_rewrite
from edgegraph.studies.improve.proof import (
    BEYOND,
    Proof,
    check_differentiable,
    distance,
    gradient,
    input_sets,
    largest,
    moved_by_one_ulp,
)
from edgegraph.studies.improve.whole import Recipe, Whole

X = jnp.linspace(-1.0, 1.0, 64)


@pytest.mark.parametrize("to", [1, -1])
def test_one_unit_in_the_last_place(to: int) -> None:
    moved = moved_by_one_ulp({"x": jnp.ones(2), "n": jnp.ones(2, jnp.int32)}, to)
    np.testing.assert_array_equal(moved["x"], np.nextafter(np.float32(1), np.float32(1 + to)))
    np.testing.assert_array_equal(moved["n"], 1)


@pytest.mark.parametrize(("dtype", "bits"), [("bfloat16", 7), ("float16", 10)])
def test_one_unit_in_the_last_place_of_narrow_numbers(dtype: str, bits: int) -> None:
    one = jnp.ones(2, dtype)
    moved = moved_by_one_ulp(one)
    assert moved.dtype == one.dtype
    np.testing.assert_array_equal(np.float64(moved), 1 + 2.0**-bits)


def test_largest() -> None:
    assert largest(jnp.array([-3.0, 2.0, jnp.nan, jnp.inf])) == 3.0
    assert largest(jnp.array([3 + 4j])) == 5.0
    assert largest(jnp.zeros(0)) == 0.0
    assert largest(jax.random.key(0)) == 0.0


def test_distance() -> None:
    one = jnp.array([1.0, 2.0, jnp.nan])
    assert distance(one, jnp.array([1.0, 4.0, 1.0])) == 2.0
    assert distance(one, jnp.array([1.0, jnp.inf, 1.0])) == BEYOND
    assert distance(one, jnp.array([1.5, jnp.inf, 1.0]), known=True) == 0.5


def test_inputs_of_several_scales() -> None:
    given = (jnp.ones(3), jnp.ones(500), jnp.arange(500), jnp.array(True))
    sets = dict(input_sets(given, held=1))
    assert list(sets) == [
        "given", "random times 0.001", "random times 1", "random times 1000", "zeros",
    ]  # fmt: skip
    for name, (weights, floats, tokens, flag) in sets.items():
        np.testing.assert_array_equal(weights, 1.0)
        np.testing.assert_array_equal(np.sort(tokens), np.arange(500))
        assert (bool(flag), tokens.dtype, floats.dtype) == (True, jnp.int32, jnp.float32)
        if name.startswith("random"):
            assert np.std(floats) == pytest.approx(float(name.split()[-1]), rel=0.1)
            assert not np.array_equal(tokens, np.arange(500))
    np.testing.assert_array_equal(sets["zeros"][1], 0.0)


def test_the_gradient_of_the_sum() -> None:
    def function(x: Array, n: Array) -> dict[str, Array]:
        return {"a": x**2, "b": 3.0 * x, "c": n + 1}

    of_x, of_n = gradient(function)(jnp.array(5.0), jnp.array(2))
    assert (float(of_x), of_n) == (13.0, None)


def test_a_function_without_gradient_is_refused() -> None:
    def loop(x: Array) -> Array:
        return jax.lax.while_loop(lambda x: jnp.all(x < 3), lambda x: x + 1, x)

    with pytest.raises(InputError, match="gradients cannot be compared"):
        check_differentiable(loop, (X,))
    check_differentiable(jnp.sin, (X,))


def proof_of(form: Callable[[Array], Array], **settings: Any) -> tuple[Any, Proof]:
    """Return what is found where sines are computed another way."""
    whole = Whole(eg.Workload.from_function(lambda x: (jnp.sin(x), x), lambda _: (X,)), 1)
    [found] = find_sites(jax.make_jaxpr(jnp.sin)(X))
    words: dict[str, Any] = {"exactness": "exact", "title": "t", "special": "s", "source": "s"}

    @register_rewrite("sine-of-proof", primitive="sin", **words)
    def rule(site: Site) -> Callable[[Array], Array]:
        return form

    try:
        proof = Proof(whole, seconds=60, **settings)
        recipe = Recipe(decisions=frozenset({(found.site.signature, "sine-of-proof")}))
        return proof.check(recipe), proof
    finally:
        unregister_rewrite("sine-of-proof")


def test_a_form_that_agrees_and_one_that_does_not() -> None:
    (sine, same), proof = proof_of(lambda x: 2 * jnp.sin(x / 2) * jnp.cos(x / 2))
    assert (sine.name, same.name) == ("[0]", "[1]")
    assert sine.agrees
    assert same.difference == 0.0
    assert len(proof.inputs) == 5
    # What is wrong for large numbers only is found with large ones.
    (sine, _), _ = proof_of(lambda x: jnp.where(jnp.abs(x) > 100, 0.0, jnp.sin(x)))
    assert (sine.agrees, sine.inputs) == (False, "random times 1000")
    (sine, _), _ = proof_of(lambda x: jnp.where(x == 0, jnp.nan, jnp.sin(x)))
    assert (sine.agrees, sine.difference, sine.inputs) == (False, BEYOND, "zeros")


def test_a_tolerance() -> None:
    (sine, _), _ = proof_of(lambda x: jnp.sin(x) * 1.01)
    assert not sine.agrees
    (sine, _), _ = proof_of(lambda x: jnp.sin(x) * 1.01, tolerance=0.02)
    assert sine.agrees


def test_a_wrong_gradient_is_found() -> None:
    def form(x: Array) -> Array:
        # The value of a sine with the gradient of twice that.
        return jnp.sin(x) + (jnp.sin(x) - jax.lax.stop_gradient(jnp.sin(x)))

    found, _ = proof_of(form)
    assert all(each.agrees for each in found)
    found, _ = proof_of(form, gradients=True)
    assert [each.name for each in found if not each.agrees] == ["gradient[0]"]


def test_numbers_among_the_arguments() -> None:
    whole = Whole(eg.Workload.from_function(lambda x, y: x * y, lambda _: (X, 2.0)), 1)
    [product] = Proof(whole, seconds=60).check(Recipe())
    assert (product.difference, product.agrees) == (0.0, True)
    assert product.sensitivity > 0
