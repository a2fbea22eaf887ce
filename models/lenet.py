"""LeNet-5, the first of the convolutional networks, for digits of 32x32 pixels."""

from __future__ import annotations

import jax
from flax import nnx

import edgegraph as eg
from models.layers import avg_pool, conv, dense, flatten
from models.network import Network, Optimizer


class LeNet5(nnx.Module):
    """Two 5x5 convolutions with tanh and average pools, and three dense layers.

    The second convolution reads all channels of the first (LeCun's leaves some out).

    Args:
        filters: Output channels of the convolutions.
        hidden: Widths of the hidden dense layers.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        filters: tuple[int, int],
        hidden: tuple[int, int],
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.conv1 = conv(1, filters[0], 5, padding=0, dtype=dtype, rngs=rngs)
        self.conv2 = conv(filters[0], filters[1], 5, padding=0, dtype=dtype, rngs=rngs)
        self.dense1 = dense(5 * 5 * filters[1], hidden[0], dtype=dtype, rngs=rngs)
        self.dense2 = dense(hidden[0], hidden[1], dtype=dtype, rngs=rngs)
        self.dense3 = dense(hidden[1], classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 32, 32, 1) to logits (batch, classes)."""
        x = avg_pool(nnx.tanh(self.conv1(images)), 2)
        x = avg_pool(nnx.tanh(self.conv2(x)), 2)
        x = nnx.tanh(self.dense1(flatten(x)))
        return self.dense3(nnx.tanh(self.dense2(x)))


LENET5 = Network(
    name="lenet5",
    nnx=LeNet5,
    sizes={"filters": (6, 16), "hidden": (120, 84), "classes": 10},
    input_shape=(32, 32, 1),
)


def lenet5(dtype: str = "float32") -> eg.Workload:
    """Run LeNet-5 forward on images of 32x32x1."""
    return LENET5.forward(dtype=dtype)


def lenet5_train(optimizer: Optimizer = "sgd", dtype: str = "float32") -> eg.Workload:
    """Train LeNet-5 for one step."""
    return LENET5.train_step(optimizer=optimizer, dtype=dtype)
