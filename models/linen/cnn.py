"""SmallCNN in linen."""

from __future__ import annotations

import jax
from flax import linen as nn

from models.layers import avg_pool, flatten
from models.linen.layers import conv, dense


class SmallCNN(nn.Module):
    """Two convolutions and two dense layers; see `models.cnn.SmallCNN`."""

    filters: tuple[int, int]
    hidden: int
    classes: int
    dtype: str

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 28, 28, 1) to logits (batch, classes)."""
        first, second = self.filters
        x = avg_pool(nn.relu(conv(first, 3, dtype=self.dtype, name="conv1")(images)), 2)
        x = avg_pool(nn.relu(conv(second, 3, dtype=self.dtype, name="conv2")(x)), 2)
        x = nn.relu(dense(self.hidden, dtype=self.dtype, name="dense1")(flatten(x)))
        return dense(self.classes, dtype=self.dtype, name="dense2")(x)
