"""AlexNet: as EfficientML's second lecture draws it, and as torchvision builds it."""

from __future__ import annotations

from typing import NamedTuple

import jax
from flax import nnx

import edgegraph as eg
from models.layers import conv, dense, flatten, max_pool
from models.network import Flavor, Network, Optimizer


class Convolution(NamedTuple):
    """Sizes of one convolution, and whether a 3x3 max pool of stride 2 follows it."""

    filters: int
    kernel: int
    stride: int = 1
    padding: int = 1
    groups: int = 1
    pool: bool = False


LECTURE_CONVOLUTIONS = (
    Convolution(96, 11, stride=4, padding=2, pool=True),
    Convolution(256, 5, padding=2, groups=2, pool=True),
    Convolution(384, 3),
    Convolution(384, 3, groups=2),
    Convolution(256, 3, groups=2, pool=True),
)
"""Groups as in the paper, whose two GPUs held half of the channels each."""

TORCHVISION_CONVOLUTIONS = (
    Convolution(64, 11, stride=4, padding=2, pool=True),
    Convolution(192, 5, padding=2, pool=True),
    Convolution(384, 3),
    Convolution(256, 3),
    Convolution(256, 3, pool=True),
)
"""The single-GPU form of "One weird trick", without groups."""


class AlexNet(nnx.Module):
    """Convolutions ``conv1`` to ``conv5`` and dense layers ``dense1`` to ``dense3``.

    Args:
        convolutions: Sizes of the convolutions; each is followed by ReLU.
        hidden: Widths of the hidden dense layers.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        convolutions: tuple[Convolution, ...],
        hidden: tuple[int, int],
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.pools = tuple(size.pool for size in convolutions)
        channels = 3
        for number, size in enumerate(convolutions, start=1):
            layer = conv(
                channels,
                size.filters,
                size.kernel,
                stride=size.stride,
                padding=size.padding,
                groups=size.groups,
                dtype=dtype,
                rngs=rngs,
            )
            setattr(self, f"conv{number}", layer)
            channels = size.filters
        self.dense1 = dense(6 * 6 * channels, hidden[0], dtype=dtype, rngs=rngs)
        self.dense2 = dense(hidden[0], hidden[1], dtype=dtype, rngs=rngs)
        self.dense3 = dense(hidden[1], classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = images
        for number, pool in enumerate(self.pools, start=1):
            x = nnx.relu(getattr(self, f"conv{number}")(x))
            if pool:
                x = max_pool(x, 3, stride=2)
        x = nnx.relu(self.dense1(flatten(x)))
        return self.dense3(nnx.relu(self.dense2(x)))


def _network(name: str, convolutions: tuple[Convolution, ...]) -> Network:
    return Network(
        name=name,
        nnx=AlexNet,
        linen="models.linen.alexnet:AlexNet",
        sizes={"convolutions": convolutions, "hidden": (4096, 4096), "classes": 1000},
        input_shape=(224, 224, 3),
    )


LECTURE = _network("alexnet", LECTURE_CONVOLUTIONS)
TORCHVISION = _network("alexnet_torchvision", TORCHVISION_CONVOLUTIONS)


def alexnet(flavor: Flavor = "nnx", dtype: str = "float32") -> eg.Workload:
    """Run the lecture's AlexNet, with grouped convolutions, on images of 224x224x3."""
    return LECTURE.forward(flavor=flavor, dtype=dtype)


def alexnet_train(
    optimizer: Optimizer = "sgd", flavor: Flavor = "nnx", dtype: str = "float32"
) -> eg.Workload:
    """Train the lecture's AlexNet for one step."""
    return LECTURE.train_step(optimizer=optimizer, flavor=flavor, dtype=dtype)


def alexnet_torchvision(flavor: Flavor = "nnx", dtype: str = "float32") -> eg.Workload:
    """Run torchvision's AlexNet, without groups, on images of 224x224x3."""
    return TORCHVISION.forward(flavor=flavor, dtype=dtype)


def alexnet_torchvision_train(
    optimizer: Optimizer = "sgd", flavor: Flavor = "nnx", dtype: str = "float32"
) -> eg.Workload:
    """Train torchvision's AlexNet for one step."""
    return TORCHVISION.train_step(optimizer=optimizer, flavor=flavor, dtype=dtype)
