"""Flax models in another floating dtype: their weights, their activations, what modules ask for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from edgegraph.errors import InputError

_ATTRIBUTES = ("dtype", "param_dtype")

_ABSENT = "absent"

_QUANTISED = frozenset({"int8", "int4", "uint4", "int2", "uint2"})


def check_castable(dtype: str) -> None:
    """Refuse a dtype that no network is cast to.

    Raises:
        InputError: It is one of those that networks are quantised to.
    """
    if dtype in _QUANTISED:
        raise InputError(
            f"dtype {dtype} is no cast but a quantisation, which needs scales; write the block with"
            " them (jax.lax.dot_general of int8 with preferred_element_type=jnp.int32, or a library"
            " such as qwix) and analyse that, or let `edgegraph improve SPEC --allow int8` try it"
        )


def is_floating(dtype: Any) -> bool:
    """Return whether it is a floating dtype that a model can compute in."""
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating)


def _is_free(attribute: Any) -> bool:
    """Return whether a module asks for a floating dtype, or leaves it to its inputs.

    A normalisation that leaves it takes its statistics' dtype, which stay as they are.
    """
    return attribute is None or (attribute is not _ABSENT and is_floating(attribute))


def cast_arrays(tree: Any, dtype: str) -> Any:
    """Return a tree with its floating arrays in a dtype; keys and integers stay as they are."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if is_floating(leaf.dtype) else leaf, tree)


def linen_in(dtype: str) -> AbstractContextManager[Any]:
    """Have every linen module that is called compute in a dtype, whatever it asked for."""

    def call(
        run: Callable[..., Any], args: Any, kwargs: Any, context: linen.module.InterceptorContext
    ) -> Any:
        for name in _ATTRIBUTES:
            if _is_free(vars(context.module).get(name, _ABSENT)):
                # A linen module is frozen; this one is a copy that Flax made for the call.
                object.__setattr__(context.module, name, jnp.dtype(dtype))
        return run(*args, **kwargs)

    return linen.intercept_methods(call)


def nnx_in(module: nnx.Module, dtype: str) -> nnx.Module:
    """Return a copy of an NNX module with its parameters in a dtype, which computes in it."""
    made: nnx.Module = nnx.clone(module)
    for _, node in nnx.iter_graph(made):
        if isinstance(node, nnx.Param) and is_floating(node.dtype):
            node.set_value(node.get_value().astype(dtype))
        elif isinstance(node, nnx.Module):
            for name in _ATTRIBUTES:
                if _is_free(vars(node).get(name, _ABSENT)):
                    setattr(node, name, jnp.dtype(dtype))
    return made
