"""MLP-Mixer: dense layers over the patches, and dense layers over the channels."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import FeedForward, conv, dense, layer_norm
from models.network import Network, Optimizer

PATCH = 16


class MixerBlock(nnx.Module):
    """Mix the patches of each channel, then the channels of each patch, beside shortcuts.

    Args:
        patches: Number of patches.
        width: Channels of a patch.
        token_hidden: Hidden width of the layers over the patches.
        channel_hidden: Hidden width of the layers over the channels.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        patches: int,
        width: int,
        token_hidden: int,
        channel_hidden: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.norm1 = layer_norm(width, dtype=dtype, rngs=rngs)
        self.token_mixing = FeedForward(patches, token_hidden, dtype=dtype, rngs=rngs)
        self.norm2 = layer_norm(width, dtype=dtype, rngs=rngs)
        self.channel_mixing = FeedForward(width, channel_hidden, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (batch, patches, width) to itself."""
        x = x + self.token_mixing(self.norm1(x).swapaxes(1, 2)).swapaxes(1, 2)
        return x + self.channel_mixing(self.norm2(x))


class Mixer(nnx.Module):
    """A patch embedding, mixer blocks, a mean over the patches, and a dense layer.

    Args:
        width: Channels of a patch.
        depth: Number of blocks.
        token_hidden: Hidden width of the layers over the patches.
        channel_hidden: Hidden width of the layers over the channels.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        token_hidden: int,
        channel_hidden: int,
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.patches = conv(3, width, PATCH, stride=PATCH, padding=0, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List(
            [
                MixerBlock(
                    patches=(224 // PATCH) ** 2,
                    width=width,
                    token_hidden=token_hidden,
                    channel_hidden=channel_hidden,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(depth)
            ]
        )
        self.norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.dense = dense(width, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = self.patches(images)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        for block in self.blocks:
            x = block(x)
        return self.dense(self.norm(x).mean(axis=1))


S16 = Network(
    name="mixer_s16",
    nnx=Mixer,
    sizes={
        "width": 512,
        "depth": 8,
        "token_hidden": 256,
        "channel_hidden": 2048,
        "classes": 1000,
    },
    input_shape=(224, 224, 3),
)
B16 = Network(
    name="mixer_b16",
    nnx=Mixer,
    sizes={
        "width": 768,
        "depth": 12,
        "token_hidden": 384,
        "channel_hidden": 3072,
        "classes": 1000,
    },
    input_shape=(224, 224, 3),
)


def mixer_s16(dtype: str = "float32") -> eg.Workload:
    """Run Mixer-S/16 forward on images of 224x224x3."""
    return S16.forward(dtype=dtype)


def mixer_s16_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train Mixer-S/16 for one step."""
    return S16.train_step(optimizer=optimizer, dtype=dtype)


def mixer_b16(dtype: str = "float32") -> eg.Workload:
    """Run Mixer-B/16 forward on images of 224x224x3."""
    return B16.forward(dtype=dtype)


def mixer_b16_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train Mixer-B/16 for one step."""
    return B16.train_step(optimizer=optimizer, dtype=dtype)
