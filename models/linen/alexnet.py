"""AlexNet in linen."""

from __future__ import annotations

import jax
from flax import linen as nn

from models.alexnet import Convolution
from models.layers import flatten, max_pool
from models.linen.layers import conv, dense


class AlexNet(nn.Module):
    """Five convolutions and three dense layers; see `models.alexnet.AlexNet`."""

    convolutions: tuple[Convolution, ...]
    hidden: tuple[int, int]
    classes: int
    dtype: str

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = images
        for number, size in enumerate(self.convolutions, start=1):
            layer = conv(
                size.filters,
                size.kernel,
                stride=size.stride,
                padding=size.padding,
                groups=size.groups,
                dtype=self.dtype,
                name=f"conv{number}",
            )
            x = nn.relu(layer(x))
            if size.pool:
                x = max_pool(x, 3, stride=2)
        x = nn.relu(dense(self.hidden[0], dtype=self.dtype, name="dense1")(flatten(x)))
        x = nn.relu(dense(self.hidden[1], dtype=self.dtype, name="dense2")(x))
        return dense(self.classes, dtype=self.dtype, name="dense3")(x)
