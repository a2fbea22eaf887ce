"""MobileNetV1 and MobileNetV2: depthwise convolutions, and inverted residuals."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import Activation, ConvNorm, SqueezeExcite, dense, global_pool
from models.network import Flavor, Network, Optimizer


class DepthwiseSeparable(nnx.Module):
    """A 3x3 convolution of each channel, and a 1x1 convolution that mixes them.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        stride: Of the depthwise convolution.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, dtype: str, rngs: nnx.Rngs
    ) -> None:
        self.depthwise = ConvNorm(
            inputs, inputs, 3, stride=stride, groups=inputs, dtype=dtype, rngs=rngs
        )
        self.pointwise = ConvNorm(inputs, outputs, 1, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images of `inputs` channels to images of `outputs` channels."""
        return self.pointwise(self.depthwise(images))


class InvertedResidual(nnx.Module):
    """Widen, convolve each channel, and narrow again; a shortcut joins the narrow ends.

    There is no widening convolution where the expansion is 1, and no shortcut where the shape
    changes.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        expansion: How many times wider the middle is than the input.
        kernel: Height and width of the depthwise kernel.
        stride: Of the depthwise convolution.
        activation: Of the first two convolutions; the last one has none.
        squeeze: Hidden width of a squeeze-excite after the depthwise convolution, or None.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int = 6,
        kernel: int = 3,
        stride: int = 1,
        activation: Activation = nnx.relu6,
        squeeze: int | None = None,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        width = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self.expand = ConvNorm(inputs, width, 1, activation=activation, dtype=dtype, rngs=rngs)
        self.depthwise = ConvNorm(
            width,
            width,
            kernel,
            stride=stride,
            groups=width,
            activation=activation,
            dtype=dtype,
            rngs=rngs,
        )
        self.squeezes = squeeze is not None
        if squeeze is not None:
            self.squeeze = SqueezeExcite(width, squeeze, dtype=dtype, rngs=rngs)
        self.project = ConvNorm(width, outputs, 1, activation=None, dtype=dtype, rngs=rngs)
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images of `inputs` channels to images of `outputs` channels."""
        x = self.expand(images) if self.expands else images
        x = self.depthwise(x)
        if self.squeezes:
            x = self.squeeze(x)
        x = self.project(x)
        return images + x if self.residual else x


class MobileNetV1(nnx.Module):
    """A stem, depthwise-separable blocks, a mean over the image, and a dense layer.

    Args:
        stem: Output channels of the first convolution.
        blocks: Output channels and stride of each block.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        stem: int,
        blocks: tuple[tuple[int, int], ...],
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.stem = ConvNorm(3, stem, 3, stride=2, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List[DepthwiseSeparable]()
        channels = stem
        for outputs, stride in blocks:
            self.blocks.append(
                DepthwiseSeparable(channels, outputs, stride=stride, dtype=dtype, rngs=rngs)
            )
            channels = outputs
        self.dense = dense(channels, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        return self.dense(global_pool(x))


class MobileNetV2(nnx.Module):
    """A stem, inverted residuals, a 1x1 convolution, a mean over the image, a dense layer.

    Args:
        stem: Output channels of the first convolution.
        stages: Expansion, output channels, repeats and first stride of each stage.
        head: Output channels of the last convolution.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        stem: int,
        stages: tuple[tuple[int, int, int, int], ...],
        head: int,
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.stem = ConvNorm(3, stem, 3, stride=2, activation=nnx.relu6, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List[InvertedResidual]()
        channels = stem
        for expansion, outputs, repeats, first_stride in stages:
            for index in range(repeats):
                block = InvertedResidual(
                    channels,
                    outputs,
                    expansion=expansion,
                    stride=first_stride if index == 0 else 1,
                    dtype=dtype,
                    rngs=rngs,
                )
                self.blocks.append(block)
                channels = outputs
        self.head = ConvNorm(channels, head, 1, activation=nnx.relu6, dtype=dtype, rngs=rngs)
        self.dense = dense(head, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        return self.dense(global_pool(self.head(x)))


V1 = Network(
    name="mobilenet_v1",
    nnx=MobileNetV1,
    sizes={
        "stem": 32,
        # Output channels and stride of each block: table 1 of the paper.
        "blocks": (
            (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
            (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
        ),
        "classes": 1000,
    },
    input_shape=(224, 224, 3),
)  # fmt: skip
V2 = Network(
    name="mobilenet_v2",
    nnx=MobileNetV2,
    linen="models.linen.mobilenet:MobileNetV2",
    sizes={
        "stem": 32,
        # Expansion, output channels, repeats, and stride of the first: table 2 of the paper.
        "stages": (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
            (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
        ),
        "head": 1280,
        "classes": 1000,
    },
    input_shape=(224, 224, 3),
)  # fmt: skip


def mobilenet_v1(dtype: str = "float32") -> eg.Workload:
    """Run MobileNetV1 (width 1.0) forward on images of 224x224x3."""
    return V1.forward(dtype=dtype)


def mobilenet_v1_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train MobileNetV1 for one step."""
    return V1.train_step(optimizer=optimizer, dtype=dtype)


def mobilenet_v2(flavor: Flavor = "nnx", dtype: str = "float32") -> eg.Workload:
    """Run MobileNetV2 (width 1.0) forward on images of 224x224x3."""
    return V2.forward(flavor=flavor, dtype=dtype)


def mobilenet_v2_train(
    optimizer: Optimizer = "sgd", flavor: Flavor = "nnx", dtype: str = "float32"
) -> eg.Workload:
    """Train MobileNetV2 for one step."""
    return V2.train_step(optimizer=optimizer, flavor=flavor, dtype=dtype)
