"""The layers that the zoo's NNX networks are built of.

Every maker takes `dtype`, which parameters and arithmetic are of, and `rngs`, where the weights
come from. Images are (batch, height, width, channels). Dropout and stochastic depth, which
inference does not run, are left out of the zoo.
"""

from __future__ import annotations

import jax
from flax import nnx


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    dilation: int = 1,
    bias: bool = True,
    dtype: str,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """Make a square convolution; by default an odd kernel at stride 1 keeps the image's size."""
    if padding is None:
        padding = dilation * (kernel - 1) // 2
    return nnx.Conv(
        inputs,
        outputs,
        (kernel, kernel),
        strides=stride,
        padding=padding,
        feature_group_count=groups,
        kernel_dilation=dilation,
        use_bias=bias,
        dtype=dtype,
        param_dtype=dtype,
        rngs=rngs,
    )


def dense(
    inputs: int, outputs: int, *, bias: bool = True, dtype: str, rngs: nnx.Rngs
) -> nnx.Linear:
    """Make a dense layer over the last dimension."""
    return nnx.Linear(inputs, outputs, use_bias=bias, dtype=dtype, param_dtype=dtype, rngs=rngs)


def max_pool(images: jax.Array, window: int, *, stride: int, padding: int = 0) -> jax.Array:
    """Take the maximum of square windows."""
    pooled: jax.Array = nnx.max_pool(  # type: ignore[no-untyped-call]  # flax does not annotate it
        images, (window, window), strides=(stride, stride), padding=[(padding, padding)] * 2
    )
    return pooled


def avg_pool(images: jax.Array, window: int) -> jax.Array:
    """Take the mean of square windows that do not overlap."""
    pooled: jax.Array = nnx.avg_pool(  # type: ignore[no-untyped-call]  # flax does not annotate it
        images, (window, window), strides=(window, window)
    )
    return pooled


def flatten(images: jax.Array) -> jax.Array:
    """Make one vector of each image."""
    return images.reshape(images.shape[0], -1)
