"""The multilayer perceptron in linen."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import linen as nn

from models.linen.layers import dense


class MLP(nn.Module):
    """Dense layers with ReLU between them; see `models.mlp.MLP`."""

    widths: Sequence[int]
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (batch, first width) to (batch, last width)."""
        last = len(self.widths) - 1
        for number in range(1, last):
            x = nn.relu(dense(self.widths[number], dtype=self.dtype, name=f"dense{number}")(x))
        return dense(self.widths[last], dtype=self.dtype, name=f"dense{last}")(x)
