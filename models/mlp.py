"""A multilayer perceptron for vectors of 784 values."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx

import edgegraph as eg
from models.layers import dense
from models.network import Flavor, Network, Optimizer

WIDTHS = (784, 512, 512, 10)


class MLP(nnx.Module):
    """Dense layers ``dense1``, ``dense2``, ... with ReLU between them.

    Args:
        widths: Width of the input, of every hidden layer, and of the output.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(self, *, widths: Sequence[int], dtype: str, rngs: nnx.Rngs) -> None:
        self.depth = len(widths) - 1
        for number in range(1, len(widths)):
            layer = dense(widths[number - 1], widths[number], dtype=dtype, rngs=rngs)
            setattr(self, f"dense{number}", layer)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (batch, first width) to (batch, last width)."""
        for number in range(1, self.depth):
            x = nnx.relu(getattr(self, f"dense{number}")(x))
        output: jax.Array = getattr(self, f"dense{self.depth}")(x)
        return output


def _network(widths: Sequence[int]) -> Network:
    if len(widths) < 2:
        raise eg.EdgeGraphError(
            f"widths={tuple(widths)} has no layer: give those of the input and of every layer"
        )
    return Network(
        name="mlp",
        nnx=MLP,
        linen="models.linen.mlp:MLP",
        sizes={"widths": tuple(widths)},
        input_shape=(widths[0],),
    )


def mlp(
    flavor: Flavor = "nnx", dtype: str = "float32", widths: Sequence[int] = WIDTHS
) -> eg.Workload:
    """Run the MLP forward; `widths` are those of the input, the hidden layers and the output."""
    return _network(widths).forward(flavor=flavor, dtype=dtype)


def mlp_train(
    optimizer: Optimizer = "sgd",
    flavor: Flavor = "nnx",
    dtype: str = "float32",
    widths: Sequence[int] = WIDTHS,
) -> eg.Workload:
    """Train the MLP for one step."""
    return _network(widths).train_step(optimizer=optimizer, flavor=flavor, dtype=dtype)
