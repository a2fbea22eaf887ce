"""What random programs do to an array besides multiplying matrices, by name.

Each takes a matrix and gives one of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Function = Callable[[Any], Any]


def _pool(x: Any, start: float, combine: Callable[..., Any]) -> Any:
    # JAX knows the gradient of a pooling whose first value is a constant.
    first = np.asarray(start, x.dtype)
    return lax.reduce_window(x, first, combine, (2, 2), (1, 1), "SAME")


def _place(x: Any) -> Any:
    """Return an index that depends on data."""
    return jnp.abs(x[0, 0]).astype(jnp.int32) % x.shape[0]


def _layer_norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)


DIFFERENTIABLE: dict[str, Function] = {
    "tanh": jnp.tanh,
    "exp of minus the square": lambda x: jnp.exp(-x * x),
    "sin": jnp.sin,
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "log of one plus the square": lambda x: jnp.log1p(x * x),
    "root of one plus the square": lambda x: jnp.sqrt(x * x + 1),
    "leaky, by where": lambda x: jnp.where(x > 0, x, 0.1 * x),
    "clip": lambda x: jnp.clip(x, -1, 1) + x,
    "divide by two plus the square": lambda x: x / (2 + x * x),
    "in bfloat16": lambda x: (x.astype(jnp.bfloat16) * 2).astype(x.dtype),
    "softmax": jax.nn.softmax,
    "layer norm": _layer_norm,
    "less the mean of columns": lambda x: x - x.mean(0),
    "less the maximum of rows": lambda x: x - x.max(1, keepdims=True),
    "times the product of the first row": lambda x: x * jnp.prod(x[0]),
    "logsumexp": lambda x: x + jax.nn.logsumexp(x, axis=1, keepdims=True),
    "cumsum": lambda x: jnp.cumsum(x, axis=0),
    "cummax": lambda x: lax.cummax(x, axis=1),
    "sort": lambda x: jnp.sort(x, axis=1),
    "reverse": lambda x: x[::-1],
    "transposed twice": lambda x: jnp.sin(x.T).T,
    "roll": lambda x: jnp.roll(x, 1, axis=1),
    "concatenate halves": lambda x: jnp.concatenate([x[:, 1:] * 2, x[:, :1]], axis=1),
    "pad and slice": lambda x: jnp.pad(x, ((1, 0), (0, 1)))[:-1, 1:] + x,
    "first column": lambda x: x[:, :1] + x,
    "dynamic slice": lambda x: x + lax.dynamic_slice_in_dim(x, _place(x), 1),
    "dynamic update": lambda x: lax.dynamic_update_slice_in_dim(x, x[:1] * 2, _place(x), 0),
    "gather": lambda x: x[jnp.arange(x.shape[0]) * 2 % x.shape[0]] + x,
    "gather where data says": lambda x: jnp.take(x, _place(x)[None], axis=0) + x,
    "scatter": lambda x: x.at[_place(x)[None]].add(x[:1]),
    "maximum pooling": lambda x: _pool(x, -jnp.inf, lax.max),
    "sum pooling": lambda x: _pool(x, 0.0, lax.add),
    "fft": lambda x: jnp.fft.fft(x.astype(jnp.float32)).real,
    "complex": lambda x: jnp.real((x + 1j * x) * lax.complex(1.0, 2.0)),
    "stacked": lambda x: jnp.stack([x, x * 2]).sum(0),
}

OTHER: dict[str, Function] = {
    "in integers": lambda x: x + (x * 4).astype(jnp.int32) // 3,
    "bits": lambda x: x + ((x * 4).astype(jnp.int32).astype(jnp.uint32) << 2 ^ 5),
    "argmax": lambda x: x + jax.nn.one_hot(jnp.argmax(x, 1), x.shape[1]),
    "argsort": lambda x: x + jnp.argsort(x, axis=1),
    "round": jnp.round,
    "sign": lambda x: x + jnp.sign(x),
    "random numbers that the device makes": lambda x: (
        x + jax.random.uniform(jax.random.key(0, impl="rbg"), x.shape)
    ),
}
"""These have no gradient, and would leave nothing of the backward pass before them."""

LOOPS: dict[str, Function] = {
    "random numbers": lambda x: x + jax.random.uniform(jax.random.key(0), x.shape),
}
"""These hold a loop of their own."""

LIBRARY: dict[str, Function] = {
    "top k": lambda x: x + lax.top_k(x, 1)[0],
    "triangular solve": lambda x: lax.linalg.triangular_solve(
        jnp.eye(x.shape[0]) + jnp.tril(jnp.ones((x.shape[0],) * 2)), x.astype(jnp.float32),
        left_side=True, lower=True,
    ),
    "Python on the host": lambda x: jax.pure_callback(
        lambda value: value, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="broadcast_all",
    ),
}  # fmt: skip
"""These become custom calls on this backend."""

OPERATIONS = DIFFERENTIABLE | OTHER | LOOPS | LIBRARY
