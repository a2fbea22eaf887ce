"""ResNet-18, and ResNet-50 v1.5, whose strides are on the 3x3 convolutions."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import ConvNorm, dense, global_pool, max_pool
from models.network import Flavor, Network, Optimizer

STEM = 64
EXPANSION = 4
"""How many times wider a bottleneck's output is than its 3x3 convolution."""


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution if the shape changes.

    Args:
        inputs: Input channels.
        width: Output channels.
        stride: Of the first convolution.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self, inputs: int, width: int, *, stride: int = 1, dtype: str, rngs: nnx.Rngs
    ) -> None:
        self.conv1 = ConvNorm(inputs, width, 3, stride=stride, dtype=dtype, rngs=rngs)
        self.conv2 = ConvNorm(width, width, 3, activation=None, dtype=dtype, rngs=rngs)
        self.reshapes = stride != 1 or inputs != width
        if self.reshapes:
            self.shortcut = ConvNorm(
                inputs, width, 1, stride=stride, activation=None, dtype=dtype, rngs=rngs
            )

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images of `inputs` channels to images of `width` channels."""
        shortcut = self.shortcut(images) if self.reshapes else images
        return nnx.relu(self.conv2(self.conv1(images)) + shortcut)


class Bottleneck(nnx.Module):
    """A 1x1, a 3x3 and a 1x1 convolution beside a shortcut.

    Args:
        inputs: Input channels.
        width: Channels of the 3x3 convolution; the output has four times as many.
        stride: Of the 3x3 convolution.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self, inputs: int, width: int, *, stride: int = 1, dtype: str, rngs: nnx.Rngs
    ) -> None:
        outputs = EXPANSION * width
        self.conv1 = ConvNorm(inputs, width, 1, dtype=dtype, rngs=rngs)
        self.conv2 = ConvNorm(width, width, 3, stride=stride, dtype=dtype, rngs=rngs)
        self.conv3 = ConvNorm(width, outputs, 1, activation=None, dtype=dtype, rngs=rngs)
        self.reshapes = stride != 1 or inputs != outputs
        if self.reshapes:
            self.shortcut = ConvNorm(
                inputs, outputs, 1, stride=stride, activation=None, dtype=dtype, rngs=rngs
            )

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images of `inputs` channels to images of four times `width` channels."""
        shortcut = self.shortcut(images) if self.reshapes else images
        return nnx.relu(self.conv3(self.conv2(self.conv1(images))) + shortcut)


class ResNet(nnx.Module):
    """A stem, four stages of residual blocks, a mean over the image, and a dense layer.

    Args:
        depths: Blocks of each stage; a stage is twice as wide as the one before.
        bottleneck: Whether the blocks are `Bottleneck` or `BasicBlock`.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int],
        bottleneck: bool,
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        block = Bottleneck if bottleneck else BasicBlock
        self.stem = ConvNorm(3, STEM, 7, stride=2, dtype=dtype, rngs=rngs)
        channels = STEM
        for stage, depth in enumerate(depths):
            width = STEM * 2**stage
            blocks = nnx.List[nnx.Module]()
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width, stride=stride, dtype=dtype, rngs=rngs))
                channels = width * EXPANSION if bottleneck else width
            setattr(self, f"stage{stage + 1}", blocks)
        self.stages = len(depths)
        self.dense = dense(channels, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = max_pool(self.stem(images), 3, stride=2, padding=1)
        for stage in range(1, self.stages + 1):
            for block in getattr(self, f"stage{stage}"):
                x = block(x)
        return self.dense(global_pool(x))


RESNET18 = Network(
    name="resnet18",
    nnx=ResNet,
    linen="models.linen.resnet:ResNet",
    sizes={"depths": (2, 2, 2, 2), "bottleneck": False, "classes": 1000},
    input_shape=(224, 224, 3),
)
RESNET50 = Network(
    name="resnet50",
    nnx=ResNet,
    sizes={"depths": (3, 4, 6, 3), "bottleneck": True, "classes": 1000},
    input_shape=(224, 224, 3),
)


def resnet18(flavor: Flavor = "nnx", dtype: str = "float32") -> eg.Workload:
    """Run ResNet-18 forward on images of 224x224x3."""
    return RESNET18.forward(flavor=flavor, dtype=dtype)


def resnet18_train(
    optimizer: Optimizer = "sgd", flavor: Flavor = "nnx", dtype: str = "float32"
) -> eg.Workload:
    """Train ResNet-18 for one step."""
    return RESNET18.train_step(optimizer=optimizer, flavor=flavor, dtype=dtype)


def resnet50(dtype: str = "float32") -> eg.Workload:
    """Run ResNet-50 v1.5 forward on images of 224x224x3."""
    return RESNET50.forward(dtype=dtype)


def resnet50_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train ResNet-50 v1.5 for one step."""
    return RESNET50.train_step(optimizer=optimizer, dtype=dtype)
