"""Programs that `scripts.first_screen` shows beside those of the zoo: others' models, not ours."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx
from jax import lax

import edgegraph as eg


class Net(nnx.Module):
    """A convolutional network with batch normalisation, as one writes one's own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        """Make four convolutions and a classifier."""
        widths = (3, 32, 64, 128, 128)
        self.convolutions = nnx.List([
            nnx.Conv(inputs, outputs, (3, 3), strides=2, rngs=rngs)
            for inputs, outputs in pairwise(widths)
        ])  # fmt: skip
        self.norms = nnx.List([nnx.BatchNorm(width, rngs=rngs) for width in widths[1:]])
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.head = nnx.Linear(widths[-1], 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the classes' scores of images, channels last."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = nnx.relu(norm(convolution(x)))
        return self.head(self.dropout(jnp.mean(x, (1, 2))))


def forces(x: jax.Array) -> jax.Array:
    """Return what bodies that repel each other feel."""
    apart = x[:, None] - x[None]
    squared = jnp.sum(apart * apart, -1) + 0.01
    return jnp.sum(apart / squared[..., None], axis=1)


def net() -> eg.Workload:
    """Return the network, given images of 64 x 64 pixels."""
    return eg.Workload.from_flax(lambda: Net(nnx.Rngs(0)), (64, 64, 3), name="net")


def move(x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Move bodies by a hundred small steps of time."""

    def step(state: tuple[jax.Array, jax.Array], _: Any) -> tuple[Any, jax.Array]:
        x, v = state
        v = v + 0.01 * forces(x)
        return (x + 0.01 * v, v), jnp.sum(v * v)

    (x, _), energy = lax.scan(step, (x, v), None, length=100)
    return x, energy


def physics() -> eg.Workload:
    """Return the steps of 256 bodies, a program without layers."""
    bodies = jax.ShapeDtypeStruct((256, 3), "float32")
    return eg.Workload.from_function(move, lambda batch: (bodies, bodies), name="physics")


class Block(nn.Module):
    """A pre-norm transformer block."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Attend, then mix channels."""
        y = nn.LayerNorm(name="norm1")(x)
        x = x + nn.MultiHeadDotProductAttention(4, name="attention")(y)
        y = nn.Dense(4 * x.shape[-1], name="up")(nn.LayerNorm(name="norm2")(x))
        return x + nn.Dense(x.shape[-1], name="down")(nn.gelu(y))


class Transformer(nn.Module):
    """Tokens in, scores of the next one out."""

    layers: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Embed, run the blocks, and project the last position to the vocabulary."""
        x = nn.Embed(512, 128, name="embed")(tokens)
        for i in range(self.layers):
            x = Block(name=f"block_{i}")(x)
        return nn.Dense(512, name="head")(nn.LayerNorm(name="norm")(x)[:, -1])


def train_step(layers: int = 48) -> eg.Workload:
    """Return forward, backward and update of a transformer."""
    return eg.Workload.train_step(
        Transformer(layers), optax.adamw(1e-3), input_shape=(32,), dtype="int32",
        integers_below=512, loss="cross_entropy", name=f"transformer_{layers}",
    )  # fmt: skip
