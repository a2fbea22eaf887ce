"""EfficientNet-B0: inverted residuals with squeeze-excite."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import ConvNorm, dense, global_pool
from models.mobilenet import InvertedResidual
from models.network import Network, Optimizer


class EfficientNet(nnx.Module):
    """A stem, inverted residuals, a 1x1 convolution, a mean over the image, a dense layer.

    The squeeze-excite of a block is a quarter as wide as the block's input.

    Args:
        stem: Output channels of the first convolution.
        stages: Expansion, output channels, repeats, first stride and kernel of each stage.
        head: Output channels of the last convolution.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        stem: int,
        stages: tuple[tuple[int, int, int, int, int], ...],
        head: int,
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.stem = ConvNorm(3, stem, 3, stride=2, activation=nnx.silu, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List[InvertedResidual]()
        channels = stem
        for expansion, outputs, repeats, first_stride, kernel in stages:
            for index in range(repeats):
                block = InvertedResidual(
                    channels,
                    outputs,
                    expansion=expansion,
                    kernel=kernel,
                    stride=first_stride if index == 0 else 1,
                    activation=nnx.silu,
                    squeeze=channels // 4,
                    dtype=dtype,
                    rngs=rngs,
                )
                self.blocks.append(block)
                channels = outputs
        self.head = ConvNorm(channels, head, 1, activation=nnx.silu, dtype=dtype, rngs=rngs)
        self.dense = dense(head, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        return self.dense(global_pool(self.head(x)))


B0 = Network(
    name="efficientnet_b0",
    nnx=EfficientNet,
    sizes={
        "stem": 32,
        # Expansion, output channels, repeats, stride of the first, kernel: table 1 of the paper.
        "stages": (
            (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
            (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
        ),
        "head": 1280,
        "classes": 1000,
    },
    input_shape=(224, 224, 3),
)  # fmt: skip


def efficientnet_b0(dtype: str = "float32") -> eg.Workload:
    """Run EfficientNet-B0 forward on images of 224x224x3."""
    return B0.forward(dtype=dtype)


def efficientnet_b0_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train EfficientNet-B0 for one step."""
    return B0.train_step(optimizer=optimizer, dtype=dtype)
