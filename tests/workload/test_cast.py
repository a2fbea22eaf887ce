"""Flax models that compute in another dtype, whatever they ask for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from edgegraph.errors import InputError
from edgegraph.workload import Workload
from edgegraph.workload.cast import check_castable


class Linen(linen.Module):
    """Asks for float32 in all the ways there are."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.Conv(8, (3, 3), dtype=jnp.float32)(x)
        x = linen.BatchNorm(use_running_average=True)(x)
        x = linen.LayerNorm(param_dtype=jnp.float32)(x).mean((1, 2))
        return linen.Dense(10)(x)


class Nnx(nnx.Module):
    """The same."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(3, 8, (3, 3), dtype=jnp.float32, rngs=rngs)
        self.bn = nnx.BatchNorm(8, rngs=rngs)
        self.ln = nnx.LayerNorm(8, param_dtype=jnp.float32, rngs=rngs)
        self.head = nnx.Linear(8, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.ln(self.bn(self.conv(x))).mean((1, 2)))


def product_dtypes(workload: Workload) -> set[str]:
    """Return the dtypes of what every product takes, by JAX's own trace."""
    call = workload.call(2)
    traced = jax.make_jaxpr(call.function)(*call.abstract)
    return {
        str(each.aval.dtype)
        for equation in _equations(traced.jaxpr)
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
        for each in equation.invars
    }


def _equations(jaxpr: Any) -> list[Any]:
    found = list(jaxpr.eqns)
    for equation in jaxpr.eqns:
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            found += _equations(inner) if hasattr(inner, "eqns") else []
    return found


@pytest.mark.parametrize("module", [Linen(), Linen, Nnx, Nnx(rngs=nnx.Rngs(0))])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_every_product_is_in_the_dtype(module: Any, dtype: str) -> None:
    workload = Workload.from_flax(module, (8, 8, 3), dtype, computing_in=dtype)
    assert product_dtypes(workload) == {dtype}
    params, state, *_ = workload.call(2).abstract
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {dtype}
    # Running statistics of few digits would not add up.
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(state)} == {"float32"}
    made, _ = workload.call(2).concrete()[:2]
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(made)} == {dtype}


def test_the_module_itself_is_never_changed() -> None:
    module = Nnx(rngs=nnx.Rngs(0))
    workload = Workload.from_flax(module, (8, 8, 3), "bfloat16", computing_in="bfloat16")
    workload.call(1).concrete()
    assert module.head.kernel.get_value().dtype == jnp.float32
    assert (module.conv.dtype, module.head.dtype) == (jnp.float32, None)


def test_without_it_the_model_computes_as_it_asks() -> None:
    assert product_dtypes(Workload.from_flax(Nnx, (8, 8, 3))) == {"float32"}


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_no_network_is_cast_to_integers(dtype: str) -> None:
    with pytest.raises(InputError, match=f"{dtype} is no cast but a quantisation"):
        Workload.from_flax(Nnx, (8, 8, 3), computing_in=dtype)
    with pytest.raises(InputError, match="preferred_element_type"):
        check_castable(dtype)
