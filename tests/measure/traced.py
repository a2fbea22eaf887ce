"""Functions with layers of every kind, traced, with arguments that have values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx
from jax import lax

from tests import programs

Function = tuple[Callable[..., Any], tuple[Any, ...]]

_TABLE = np.arange(12.0, dtype=np.float32).reshape(3, 4)


def filled(shapes: Any) -> Any:
    """Return arrays of these shapes, always with the same values."""
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.2 * random.standard_normal(leaf.shape), leaf.dtype), shapes
    )


def cnn() -> Function:
    forward, arguments = programs.small_cnn(2)
    return forward, filled(arguments)


class Block(nn.Module):
    """A residual block, whose dense layer it uses twice."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = nn.Dense(x.shape[-1], name="dense")
        out: jax.Array = x + nn.relu(dense(nn.relu(dense(x))))
        return out


class Repeated(nn.Module):
    """A block in the form that a scan wants."""

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        return x + nn.relu(nn.Dense(x.shape[-1], name="dense")(x)), None


class Blocks(nn.Module):
    """Blocks: one plain, one rematerialised, some in a scan; with dropout at the end."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Block(name="plain")(x)
        x = nn.remat(Block)(name="again")(x)
        scan = nn.scan(Repeated, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = scan(name="scanned")(x, None)
        out: jax.Array = nn.Dropout(0.5, deterministic=False)(x)
        return out


def _blocks() -> tuple[Blocks, Any]:
    net = Blocks()
    key = jax.random.key(0)
    shapes = jax.eval_shape(
        lambda: net.init({"params": key, "dropout": key}, jnp.zeros((4, 8)))["params"]
    )
    return net, filled(shapes)


def blocks() -> Function:
    net, params = _blocks()

    def forward(params: Any, key: Any, x: Any) -> Any:
        return net.apply({"params": params}, x, rngs={"dropout": key})

    return forward, (params, jax.random.key(1), filled(jax.ShapeDtypeStruct((4, 8), jnp.float32)))


def train_step() -> Function:
    """A step of Adam on the blocks, with integer labels."""
    net, params = _blocks()
    optimizer = optax.adam(0.01)

    def step(params: Any, state: Any, key: Any, x: Any, labels: Any) -> Any:
        def loss(params: Any) -> Any:
            logits = net.apply({"params": params}, x, rngs={"dropout": key})
            with jax.named_scope("loss"):
                losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
                return losses.mean()

        value, gradients = jax.value_and_grad(loss)(params)
        with jax.named_scope("optimizer"):
            updates, state = optimizer.update(gradients, state, params)
            params = optax.apply_updates(params, updates)
        return params, state, value

    x = filled(jax.ShapeDtypeStruct((4, 8), jnp.float32))
    labels = jnp.array([0, 3, 7, 1])
    return step, (params, optimizer.init(params), jax.random.key(1), x, labels)


def nnx_net() -> Function:
    """An NNX net whose call is wrapped in scopes, as EdgeGraph traces it."""
    net = nnx.Sequential(nnx.Linear(4, 8, rngs=nnx.Rngs(0)), nnx.Linear(8, 3, rngs=nnx.Rngs(1)))
    graph, params = nnx.split(net)

    def forward(params: Any, x: Any) -> Any:
        first, second = nnx.merge(graph, params).layers
        with jax.named_scope("Net"):
            with jax.named_scope("first"):
                x = first(x)
            x = jax.nn.gelu(x)
            with jax.named_scope("second"):
                return second(x)

    return forward, (params, filled(jax.ShapeDtypeStruct((2, 4), jnp.float32)))


@jax.custom_vjp
def _clipped(x: Any) -> Any:
    with jax.named_scope("inner"):
        return jnp.clip(x, -1.0, 1.0) * 2.0


_clipped.defvjp(lambda x: (_clipped(x), x), lambda x, gradient: (gradient * jnp.cos(x),))


@jax.jit
def _shared(x: Any) -> Any:
    """Called twice: both calls hold the very same jaxpr."""
    with jax.named_scope("shared"):
        return jnp.tanh(x) @ _TABLE.T @ _TABLE


def control() -> Function:
    """Loops, branches, calls within calls, a custom derivative, constants, integers, bools."""

    def run(x: Any, flag: Any, count: Any) -> Any:
        jnp.sin(x)  # nobody needs it
        with jax.named_scope("Net"):
            y = _shared(_shared(x))
            with jax.named_scope("loop"):
                y = lax.fori_loop(0, 3, lambda _, carry: carry * 0.5 + _TABLE, y)
                y = lax.while_loop(lambda carry: carry.sum() > 10.0, lambda carry: carry / 2, y)
            with jax.named_scope("branch"):
                y = lax.cond(flag, _branch_a, lambda v: v - 1.0, y)
            with jax.named_scope("custom"):
                y = _clipped(y)
            with jax.named_scope("mask"):
                mask = jnp.arange(4) < count
            y = jnp.where(mask, y, 0.0)
        total = y.sum()
        return {"y": y, "total": total, "mask": mask, "x": x, "two": 2, "count": count + 1}

    return run, (jnp.asarray(_TABLE) / 10, jnp.asarray(True), jnp.asarray(3))


def _branch_a(v: Any) -> Any:
    with jax.named_scope("dear"):
        return jnp.exp(v)


def gradient_of_control() -> Function:
    """The backward pass through a branch, a custom derivative and shared calls."""

    def loss(x: Any, flag: Any) -> Any:
        with jax.named_scope("Net"):
            y = _shared(_shared(x))
            with jax.named_scope("branch"):
                y = lax.cond(flag, _branch_a, lambda v: v - 1.0, y)
            with jax.named_scope("custom"):
                return _clipped(y).sum()

    return jax.value_and_grad(loss), (jnp.asarray(_TABLE) / 10, jnp.asarray(True))


FUNCTIONS: dict[str, Callable[[], Function]] = {
    "cnn": cnn,
    "blocks": blocks,
    "train step": train_step,
    "nnx": nnx_net,
    "control": control,
    "gradient of control": gradient_of_control,
}
