"""MobileNetV2 in linen."""

from __future__ import annotations

import jax
from flax import linen as nn

from models.layers import global_pool
from models.linen.layers import ConvNorm, dense


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, and narrow again; see `models.mobilenet.InvertedResidual`."""

    outputs: int
    expansion: int
    stride: int
    dtype: str

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map images to images of `outputs` channels."""
        inputs = images.shape[-1]
        width = inputs * self.expansion
        x = images
        if self.expansion != 1:
            x = ConvNorm(width, 1, activation=nn.relu6, dtype=self.dtype, name="expand")(
                x, train=train
            )
        x = ConvNorm(
            width,
            3,
            self.stride,
            groups=width,
            activation=nn.relu6,
            dtype=self.dtype,
            name="depthwise",
        )(x, train=train)
        x = ConvNorm(self.outputs, 1, activation=None, dtype=self.dtype, name="project")(
            x, train=train
        )
        return images + x if self.stride == 1 and inputs == self.outputs else x


class MobileNetV2(nn.Module):
    """A stem, inverted residuals and a dense layer; see `models.mobilenet.MobileNetV2`."""

    stem: int
    stages: tuple[tuple[int, int, int, int], ...]
    head: int
    classes: int
    dtype: str

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = ConvNorm(self.stem, 3, 2, activation=nn.relu6, dtype=self.dtype, name="stem")(
            images, train=train
        )
        number = 0
        for expansion, outputs, repeats, first_stride in self.stages:
            for index in range(repeats):
                block = InvertedResidual(
                    outputs,
                    expansion,
                    first_stride if index == 0 else 1,
                    self.dtype,
                    name=f"blocks_{number}",
                )
                x = block(x, train=train)
                number += 1
        x = ConvNorm(self.head, 1, activation=nn.relu6, dtype=self.dtype, name="head")(
            x, train=train
        )
        return dense(self.classes, dtype=self.dtype, name="dense")(global_pool(x))
