"""ResNet of basic blocks in linen."""

from __future__ import annotations

import jax
from flax import linen as nn

from models.layers import global_pool, max_pool
from models.linen.layers import ConvNorm, dense
from models.resnet import STEM


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; see `models.resnet.BasicBlock`."""

    width: int
    stride: int
    dtype: str

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map images to images of `width` channels."""
        shortcut = images
        if self.stride != 1 or images.shape[-1] != self.width:
            shortcut = ConvNorm(
                self.width, 1, self.stride, activation=None, dtype=self.dtype, name="shortcut"
            )(images, train=train)
        x = ConvNorm(self.width, 3, self.stride, dtype=self.dtype, name="conv1")(
            images, train=train
        )
        x = ConvNorm(self.width, 3, activation=None, dtype=self.dtype, name="conv2")(x, train=train)
        return nn.relu(x + shortcut)


class ResNet(nn.Module):
    """A stem, stages of basic blocks, and a dense layer; see `models.resnet.ResNet`."""

    depths: tuple[int, int, int, int]
    bottleneck: bool
    classes: int
    dtype: str

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        if self.bottleneck:
            raise NotImplementedError("the bottleneck block has no linen form: use flavor='nnx'")
        x = ConvNorm(STEM, 7, 2, dtype=self.dtype, name="stem")(images, train=train)
        x = max_pool(x, 3, stride=2, padding=1)
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                block = BasicBlock(
                    STEM * 2**stage,
                    2 if stage > 0 and index == 0 else 1,
                    self.dtype,
                    name=f"stage{stage + 1}_{index}",
                )
                x = block(x, train=train)
        return dense(self.classes, dtype=self.dtype, name="dense")(global_pool(x))
