"""Calls of any function: arguments by keyword, and what JAX takes no values of."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.workload.functions import Constant, plain, split

X = jax.ShapeDtypeStruct((2, 3), "float32")


def apply(model: dict[str, Any], x: jax.Array, *, scale: float = 1.0, mode: str = "up") -> Any:
    assert mode in ("up", "down")
    out = model["activation"](x @ model["kernel"]) * scale
    return {**model, "out": -out if mode == "down" else out}


MODEL = {"activation": jnp.square, "kernel": jnp.full((3, 4), 2.0), "name": "mine", "none": None}


def test_leaves_that_are_no_arrays_are_bound_and_left_out_of_results() -> None:
    call = plain(apply, lambda: (MODEL, X))
    assert [leaf.shape for leaf in jax.tree.leaves(call.abstract)] == [(3, 4), (2, 3)]
    out = call.function(*[{**MODEL, "activation": None, "name": None}, jnp.ones((2, 3))])
    # Each sum is 3 * 1 * 2.
    np.testing.assert_array_equal(out["out"], np.full((2, 4), 36.0))
    assert (out["activation"], out["name"]) == (None, None)
    assert len(jax.tree.leaves(call.concrete())) == 2


def test_keywords_stand_behind_the_other_arguments() -> None:
    call = plain(apply, lambda: (MODEL, X), kwargs={"scale": 2.0, "mode": "down"})
    assert call.keywords == ("mode", "scale")
    assert call.abstract[2] is None  # text is bound
    model = {**MODEL, "activation": None, "name": None}
    out = call.function(model, jnp.ones((2, 3)), None, jnp.float32(0.5))
    np.testing.assert_array_equal(out["out"], np.full((2, 4), -18.0))
    assert call.stage is not None
    assert call.stage().jaxpr.jaxpr.debug_info.arg_names == ("model['kernel']", "x", "scale")


def test_numbers_can_be_constants() -> None:
    arrays, bound = split((X, Constant(3)), lambda x, n: sum(x for _ in range(n)))
    assert arrays == (X, None)
    np.testing.assert_array_equal(bound(jnp.ones(2), None), [3, 3])


def test_a_function_that_returns_nothing() -> None:
    call = plain(lambda x: None, lambda: (X,))
    assert jax.eval_shape(call.function, *call.abstract) is None
