"""Real programs that several tests compile."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Module


class SmallCNN(nn.Module):
    """The design's SmallCNN, written out once more, so that tests do not rest on the zoo."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(32, (3, 3), name="conv1")(x))
        x = nn.avg_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(64, (3, 3), name="conv2")(x))
        x = nn.avg_pool(x, (2, 2), (2, 2))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(256, name="dense1")(x))
        out: jax.Array = nn.Dense(10, name="dense2")(x)
        return out


def small_cnn(batch: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the forward pass of SmallCNN and its abstract arguments."""
    net = SmallCNN()
    x = jax.ShapeDtypeStruct((batch, 28, 28, 1), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), x)

    def forward(params: Any, x: Any) -> Any:
        return net.apply({"params": params}, x)

    return forward, (variables["params"], x)


def small_cnn_gradient(batch: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the gradient of SmallCNN's summed logits."""
    forward, arguments = small_cnn(batch)
    return jax.grad(lambda params, x: forward(params, x).sum()), arguments


def scan(length: int = 5) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a scan of `length` dense layers of width 8 at batch 4."""

    def run(x: Any, weights: Any) -> Any:
        return lax.scan(lambda carry, w: (jnp.tanh(carry @ w), None), x, weights)[0]

    f32 = jnp.float32
    return run, (jax.ShapeDtypeStruct((4, 8), f32), jax.ShapeDtypeStruct((length, 8, 8), f32))


def branches() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a conditional with a cheap and a dear branch."""

    def run(flag: Any, x: Any) -> Any:
        return lax.cond(flag, lambda v: v + 1.0, lambda v: jnp.sin(v @ v), x)

    return run, (jax.ShapeDtypeStruct((), jnp.bool_), jax.ShapeDtypeStruct((16, 16), jnp.float32))


def mixed() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a program with sort, gather, scatter, cumulative sum, slices and several results."""

    def run(x: Any) -> Any:
        first, second = lax.sort((x, x), num_keys=1)
        gathered = jnp.take(x, jnp.array([1, 2]), axis=0)
        scattered = x.at[jnp.array([1, 2])].add(1.0)
        updated = lax.dynamic_update_slice(x, x[:1], (2, 3))
        return first[:, :2], second[2:3], gathered, scattered, updated, jnp.cumsum(x, axis=1)

    return run, (jax.ShapeDtypeStruct((8, 8), jnp.float32),)


SAME_MODULE_SOONER: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}
"""Machine code that is compiled faster, from the same HLO."""


@cache
def compiled(make: Callable[..., Any], *settings: int) -> bytes:
    """Compile a program for this host and return its optimised HloModuleProto."""
    function, arguments = make(*settings)
    lowered_here = jax.jit(function, keep_unused=True).lower(*arguments)
    return xla.compiled_module(lowered_here.compile(SAME_MODULE_SOONER))


@cache
def lowered(make: Callable[..., Any], *settings: int) -> bytes:
    """Lower a program and return its HloModuleProto before optimisation."""
    function, arguments = make(*settings)
    return xla.lowered_module(jax.jit(function, keep_unused=True).lower(*arguments))


def module(make: Callable[..., Any], *settings: int) -> Module:
    """Compile a program and decode it."""
    return decode(compiled(make, *settings))


def data_dependent_loop() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a loop that ends when its data says so."""

    def run(x: Any) -> Any:
        return lax.while_loop(lambda v: v.sum() < 100.0, lambda v: v * 1.5, x)

    return run, (jax.ShapeDtypeStruct((8,), jnp.float32),)


def top_k() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a program that becomes a custom call on the CPU."""
    return (lambda x: lax.top_k(x, 3)), (jax.ShapeDtypeStruct((8, 64), jnp.float32),)


class Block(nn.Module):
    """A dense layer and its activation."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.tanh(nn.Dense(16, name="dense")(x))


class Remat(nn.Module):
    """Two blocks that the backward pass computes once more."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(2):
            x = nn.remat(Block)(name=f"block_{i}")(x)
        return x


def remat_gradient() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the gradient of a network with rematerialised blocks."""
    net = Remat()
    x = jax.ShapeDtypeStruct((4, 16), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), x)

    def total(params: Any, x: Any) -> Any:
        y: Any = net.apply(params, x)
        return y.sum()

    return jax.grad(total), (params, x)
