"""A small convolutional network for images of 28x28 pixels."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import avg_pool, conv, dense, flatten
from models.network import Flavor, Network, Optimizer


class SmallCNN(nnx.Module):
    """Two convolutions and two dense layers.

    Each convolution is 3x3, keeps the image's size, and is followed by ReLU and an average pool
    that halves the image.

    Args:
        filters: Output channels of the two convolutions.
        hidden: Width of the first dense layer.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self, *, filters: tuple[int, int], hidden: int, classes: int, dtype: str, rngs: nnx.Rngs
    ) -> None:
        first, second = filters
        self.conv1 = conv(1, first, 3, dtype=dtype, rngs=rngs)
        self.conv2 = conv(first, second, 3, dtype=dtype, rngs=rngs)
        self.dense1 = dense(7 * 7 * second, hidden, dtype=dtype, rngs=rngs)
        self.dense2 = dense(hidden, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 28, 28, 1) to logits (batch, classes)."""
        x = avg_pool(nnx.relu(self.conv1(images)), 2)
        x = avg_pool(nnx.relu(self.conv2(x)), 2)
        return self.dense2(nnx.relu(self.dense1(flatten(x))))


SMALL_CNN = Network(
    name="small_cnn",
    nnx=SmallCNN,
    linen="models.linen.cnn:SmallCNN",
    sizes={"filters": (32, 64), "hidden": 256, "classes": 10},
    input_shape=(28, 28, 1),
)


def small_cnn(flavor: Flavor = "nnx", dtype: str = "float32") -> eg.Workload:
    """Run SmallCNN forward on images of 28x28x1.

    Example:
        >>> small_cnn().name
        'small_cnn'
    """
    return SMALL_CNN.forward(flavor=flavor, dtype=dtype)


def small_cnn_train(
    optimizer: Optimizer = "sgd", flavor: Flavor = "nnx", dtype: str = "float32"
) -> eg.Workload:
    """Train SmallCNN for one step."""
    return SMALL_CNN.train_step(optimizer=optimizer, flavor=flavor, dtype=dtype)
