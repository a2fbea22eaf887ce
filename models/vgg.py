"""VGG-16, and the smaller VGG of MIT 6.5940's first lab."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import ConvNorm, conv, dense, flatten, global_pool, max_pool
from models.network import Network, Optimizer

Stages = tuple[tuple[int, ...], ...]


def _names(stages: Stages) -> tuple[tuple[str, ...], ...]:
    """Name the convolutions as the paper does: conv1_1, conv1_2, conv2_1, ..."""
    return tuple(
        tuple(f"conv{stage}_{number}" for number in range(1, len(filters) + 1))
        for stage, filters in enumerate(stages, start=1)
    )


class VGG(nnx.Module):
    """Stages of 3x3 convolutions, each ended by a 2x2 max pool, and three dense layers.

    Args:
        stages: Output channels of the convolutions of each stage.
        hidden: Widths of the hidden dense layers.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        stages: Stages,
        hidden: tuple[int, int],
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.names = _names(stages)
        channels = 3
        for names, stage in zip(self.names, stages, strict=True):
            for name, filters in zip(names, stage, strict=True):
                setattr(self, name, conv(channels, filters, 3, dtype=dtype, rngs=rngs))
                channels = filters
        self.dense1 = dense(7 * 7 * channels, hidden[0], dtype=dtype, rngs=rngs)
        self.dense2 = dense(hidden[0], hidden[1], dtype=dtype, rngs=rngs)
        self.dense3 = dense(hidden[1], classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = images
        for names in self.names:
            for name in names:
                x = nnx.relu(getattr(self, name)(x))
            x = max_pool(x, 2, stride=2)
        x = nnx.relu(self.dense1(flatten(x)))
        return self.dense3(nnx.relu(self.dense2(x)))


class LabVGG(nnx.Module):
    """Stages of normalised 3x3 convolutions, a mean over the image, and one dense layer.

    Args:
        stages: Output channels of the convolutions of each stage.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(self, *, stages: Stages, classes: int, dtype: str, rngs: nnx.Rngs) -> None:
        self.names = _names(stages)
        channels = 3
        for names, stage in zip(self.names, stages, strict=True):
            for name, filters in zip(names, stage, strict=True):
                setattr(self, name, ConvNorm(channels, filters, 3, dtype=dtype, rngs=rngs))
                channels = filters
        self.dense = dense(channels, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 32, 32, 3) to logits (batch, classes)."""
        x = images
        for names in self.names:
            for name in names:
                x = getattr(self, name)(x)
            x = max_pool(x, 2, stride=2)
        return self.dense(global_pool(x))


VGG16 = Network(
    name="vgg16",
    nnx=VGG,
    sizes={
        "stages": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
        "hidden": (4096, 4096),
        "classes": 1000,
    },
    input_shape=(224, 224, 3),
)
LAB = Network(
    name="vgg_lab",
    nnx=LabVGG,
    sizes={"stages": ((64, 128), (256, 256), (512, 512), (512, 512)), "classes": 10},
    input_shape=(32, 32, 3),
)


def vgg16(dtype: str = "float32") -> eg.Workload:
    """Run VGG-16 (configuration D) forward on images of 224x224x3."""
    return VGG16.forward(dtype=dtype)


def vgg16_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train VGG-16 for one step."""
    return VGG16.train_step(optimizer=optimizer, dtype=dtype)


def vgg_lab(dtype: str = "float32") -> eg.Workload:
    """Run the lab's VGG forward on images of 32x32x3."""
    return LAB.forward(dtype=dtype)


def vgg_lab_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train the lab's VGG for one step."""
    return LAB.train_step(optimizer=optimizer, dtype=dtype)
