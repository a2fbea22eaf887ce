"""The layers that the zoo's linen networks are built of; `models.layers` in linen."""

from __future__ import annotations

import jax
from flax import linen as nn

from models.layers import Activation


def conv(
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    bias: bool = True,
    dtype: str,
    name: str,
) -> nn.Conv:
    """Make a square convolution; by default an odd kernel at stride 1 keeps the image's size."""
    return nn.Conv(
        outputs,
        (kernel, kernel),
        strides=stride,
        padding=(kernel - 1) // 2 if padding is None else padding,
        feature_group_count=groups,
        use_bias=bias,
        dtype=dtype,
        param_dtype=dtype,
        name=name,
    )


def dense(outputs: int, *, dtype: str, name: str) -> nn.Dense:
    """Make a dense layer over the last dimension."""
    return nn.Dense(outputs, dtype=dtype, param_dtype=dtype, name=name)


class ConvNorm(nn.Module):
    """A convolution without bias, batch normalisation, and an activation.

    See `models.layers.ConvNorm`; the names and weights are the same.
    """

    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: Activation | None = nn.relu
    dtype: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map images to images; `train` normalises by the batch's own statistics."""
        x = conv(
            self.outputs,
            self.kernel,
            stride=self.stride,
            groups=self.groups,
            bias=False,
            dtype=self.dtype,
            name="conv",
        )(images)
        x = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            dtype=self.dtype,
            param_dtype=self.dtype,
            name="norm",
        )(x)
        return x if self.activation is None else self.activation(x)
