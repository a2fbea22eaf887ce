"""The networks that programs of the corpus run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx


class Block(nn.Module):
    """A pre-norm transformer block."""

    @nn.compact
    def __call__(self, x: Any, _: Any = None) -> Any:
        y = nn.LayerNorm(name="norm1")(x)
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(y)
        y = nn.LayerNorm(name="norm2")(x)
        return x + nn.Dense(8, name="down")(nn.gelu(nn.Dense(32, name="up")(y))), None


class Stack(nn.Module):
    """Blocks under a scan."""

    length: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        scanned = nn.scan(
            Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=self.length
        )
        return scanned(name="blocks")(x, None)[0]


class Network(nn.Module):
    """Convolution, batch normalisation, pooling, a residual block and a dense head."""

    train: bool = False

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.relu(nn.Conv(8, (3, 3), strides=(2, 2), name="stem")(x))
        y = nn.BatchNorm(use_running_average=not self.train, name="norm")(x)
        y = nn.Conv(8, (3, 3), feature_group_count=8, name="depthwise")(y)
        x = nn.max_pool(x + nn.Conv(8, (1, 1), name="pointwise")(y), (2, 2), (2, 2))
        return nn.Dense(5, name="head")(x.mean((1, 2)))


class Perceptron(nnx.Module):
    """Two dense layers, in NNX."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(8, 16, rngs=rngs)
        self.second = nnx.Linear(16, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.second(nnx.relu(self.first(x)))


def of_module(module: nn.Module, *arguments: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a module's variables and its arguments, all abstract."""
    return jax.eval_shape(module.init, jax.random.key(0), *arguments), arguments


def train_step(
    module: nn.Module, optimizer: optax.GradientTransformation, x: Any
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a step of training on the sum of squares."""
    variables, _ = of_module(module, x)
    params = variables["params"]
    rest = {name: value for name, value in variables.items() if name != "params"}

    def step(params: Any, opt_state: Any, x: Any) -> Any:
        def loss(params: Any) -> Any:
            y: Any = module.apply({"params": params} | rest_of(rest), x, mutable=list(rest))
            return (y[0] ** 2).sum()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return step, (params, jax.eval_shape(optimizer.init, params), x)


def rest_of(shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ones for all variables but the parameters."""
    return {name: jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), tree)
            for name, tree in shapes.items()}  # fmt: skip
