"""The layers that the zoo's NNX networks are built of.

Every maker takes `dtype`, which parameters and arithmetic are of, and `rngs`, where the weights
come from. Images are (batch, height, width, channels). Dropout and stochastic depth, which
inference does not run, are left out of the zoo.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from flax import nnx

Activation = Callable[[jax.Array], jax.Array]


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


def transposed_conv(
    inputs: int, outputs: int, kernel: int, *, stride: int, dtype: str, rngs: nnx.Rngs
) -> nnx.ConvTranspose:
    """Make a square transposed convolution; its images are `stride` times larger."""
    return nnx.ConvTranspose(
        inputs,
        outputs,
        (kernel, kernel),
        strides=stride,
        padding="SAME",
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
    pooled: jax.Array = nnx.max_pool(
        images, (window, window), strides=(stride, stride), padding=[(padding, padding)] * 2
    )
    return pooled


def avg_pool(images: jax.Array, window: int) -> jax.Array:
    """Take the mean of square windows that do not overlap."""
    pooled: jax.Array = nnx.avg_pool(images, (window, window), strides=(window, window))
    return pooled


def flatten(images: jax.Array) -> jax.Array:
    """Make one vector of each image."""
    return images.reshape(images.shape[0], -1)


def global_pool(images: jax.Array) -> jax.Array:
    """Take the mean of each channel over the whole image."""
    return images.mean(axis=(1, 2))


def batch_norm(features: int, *, dtype: str, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Make batch normalisation; the running statistics are float32."""
    return nnx.BatchNorm(features, momentum=0.9, dtype=dtype, param_dtype=dtype, rngs=rngs)


def layer_norm(features: int, *, dtype: str, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Make layer normalisation over the last dimension."""
    return nnx.LayerNorm(features, dtype=dtype, param_dtype=dtype, rngs=rngs)


class ConvNorm(nnx.Module):
    """A convolution without bias, batch normalisation, and an activation.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Height and width of the kernel, odd; the padding is half of it.
        stride: Step between windows.
        groups: Groups of channels that do not mix.
        activation: Applied last, or None.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = nnx.relu,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.conv = conv(
            inputs,
            outputs,
            kernel,
            stride=stride,
            groups=groups,
            bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = batch_norm(outputs, dtype=dtype, rngs=rngs)
        self.activation = activation

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images to images; the padding is half the kernel."""
        x: jax.Array = self.norm(self.conv(images))
        return x if self.activation is None else self.activation(x)


class SqueezeExcite(nnx.Module):
    """Weigh every channel by what the whole image says of it.

    Args:
        channels: Channels of the images.
        hidden: Channels between the two dense layers.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(self, channels: int, hidden: int, *, dtype: str, rngs: nnx.Rngs) -> None:
        self.reduce = dense(channels, hidden, dtype=dtype, rngs=rngs)
        self.expand = dense(hidden, channels, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images to images of the same shape."""
        weights = self.expand(nnx.silu(self.reduce(global_pool(images))))
        return images * nnx.sigmoid(weights)[:, None, None, :]


class FeedForward(nnx.Module):
    """Two dense layers with GELU between them.

    Args:
        width: Width of input and output.
        hidden: Width between the two layers.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(self, width: int, hidden: int, *, dtype: str, rngs: nnx.Rngs) -> None:
        self.dense1 = dense(width, hidden, dtype=dtype, rngs=rngs)
        self.dense2 = dense(hidden, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the last dimension, which is `width`, to itself."""
        return self.dense2(nnx.gelu(self.dense1(x)))
