"""Single building blocks, each a Workload of its own, with sizes as parameters.

Images are `size` x `size` pixels. The defaults are shapes out of the zoo's own networks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

import edgegraph as eg
from models import layers
from models.attention import SelfAttention
from models.mixer import MixerBlock
from models.mobilenet import DepthwiseSeparable, InvertedResidual
from models.network import Network
from models.quantized import Int8Conv, Int8Dense
from models.resnet import EXPANSION, BasicBlock, Bottleneck


def conv(
    inputs: int = 64,
    outputs: int = 64,
    kernel: int = 3,
    size: int = 56,
    stride: int = 1,
    dtype: str = "float32",
) -> eg.Workload:
    """Run a convolution.

    Example:
        >>> conv(kernel=5).name
        'conv'
    """
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": kernel, "stride": stride}
    return _on_images("conv", layers.conv, sizes, size, inputs, dtype)


def pointwise_conv(
    inputs: int = 256, outputs: int = 64, size: int = 56, dtype: str = "float32"
) -> eg.Workload:
    """Run a 1x1 convolution, which is a dense layer over the channels of each pixel."""
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": 1}
    return _on_images("pointwise_conv", layers.conv, sizes, size, inputs, dtype)


def grouped_conv(
    inputs: int = 128,
    outputs: int = 128,
    kernel: int = 3,
    groups: int = 32,
    size: int = 56,
    dtype: str = "float32",
) -> eg.Workload:
    """Run a convolution whose groups of channels do not mix."""
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": kernel, "groups": groups}
    return _on_images("grouped_conv", layers.conv, sizes, size, inputs, dtype)


def depthwise_conv(
    channels: int = 144, kernel: int = 3, size: int = 56, stride: int = 1, dtype: str = "float32"
) -> eg.Workload:
    """Run a convolution of every channel by itself."""
    sizes = {"inputs": channels, "outputs": channels, "groups": channels}
    sizes |= {"kernel": kernel, "stride": stride}
    return _on_images("depthwise_conv", layers.conv, sizes, size, channels, dtype)


def dilated_conv(
    inputs: int = 64,
    outputs: int = 64,
    kernel: int = 3,
    dilation: int = 2,
    size: int = 56,
    dtype: str = "float32",
) -> eg.Workload:
    """Run a convolution whose taps are `dilation` pixels apart."""
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": kernel, "dilation": dilation}
    return _on_images("dilated_conv", layers.conv, sizes, size, inputs, dtype)


def transposed_conv(
    inputs: int = 64,
    outputs: int = 32,
    kernel: int = 4,
    stride: int = 2,
    size: int = 28,
    dtype: str = "float32",
) -> eg.Workload:
    """Run a transposed convolution, which makes images `stride` times larger."""
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": kernel, "stride": stride}
    return _on_images("transposed_conv", layers.transposed_conv, sizes, size, inputs, dtype)


def depthwise_separable(
    inputs: int = 128, outputs: int = 128, size: int = 56, stride: int = 1, dtype: str = "float32"
) -> eg.Workload:
    """Run MobileNetV1's block."""
    sizes = {"inputs": inputs, "outputs": outputs, "stride": stride}
    return _on_images("depthwise_separable", DepthwiseSeparable, sizes, size, inputs, dtype)


def inverted_residual(
    inputs: int = 24,
    outputs: int = 24,
    expansion: int = 6,
    kernel: int = 3,
    size: int = 56,
    stride: int = 1,
    dtype: str = "float32",
) -> eg.Workload:
    """Run MobileNetV2's block."""
    sizes = {"inputs": inputs, "outputs": outputs, "expansion": expansion}
    sizes |= {"kernel": kernel, "stride": stride}
    return _on_images("inverted_residual", InvertedResidual, sizes, size, inputs, dtype)


def residual_basic(
    inputs: int = 64, width: int = 64, size: int = 56, stride: int = 1, dtype: str = "float32"
) -> eg.Workload:
    """Run ResNet-18's block."""
    sizes = {"inputs": inputs, "width": width, "stride": stride}
    return _on_images("residual_basic", BasicBlock, sizes, size, inputs, dtype)


def residual_bottleneck(
    inputs: int = 64 * EXPANSION,
    width: int = 64,
    size: int = 56,
    stride: int = 1,
    dtype: str = "float32",
) -> eg.Workload:
    """Run ResNet-50's block; its output has four times `width` channels."""
    sizes = {"inputs": inputs, "width": width, "stride": stride}
    return _on_images("residual_bottleneck", Bottleneck, sizes, size, inputs, dtype)


def squeeze_excite(
    channels: int = 240, hidden: int = 10, size: int = 28, dtype: str = "float32"
) -> eg.Workload:
    """Run the weighing of channels that EfficientNet's blocks have."""
    sizes = {"channels": channels, "hidden": hidden}
    return _on_images("squeeze_excite", layers.SqueezeExcite, sizes, size, channels, dtype)


def dense(inputs: int = 1024, outputs: int = 1024, dtype: str = "float32") -> eg.Workload:
    """Run a dense layer."""
    sizes = {"inputs": inputs, "outputs": outputs}
    return _block("dense", layers.dense, sizes, (inputs,), dtype)


def feed_forward(
    width: int = 768, hidden: int = 3072, tokens: int = 196, dtype: str = "float32"
) -> eg.Workload:
    """Run two dense layers with GELU between them on each token."""
    sizes = {"width": width, "hidden": hidden}
    return _block("feed_forward", layers.FeedForward, sizes, (tokens, width), dtype)


def mixer_block(
    patches: int = 196,
    width: int = 512,
    token_hidden: int = 256,
    channel_hidden: int = 2048,
    dtype: str = "float32",
) -> eg.Workload:
    """Run MLP-Mixer's block."""
    sizes = {"patches": patches, "width": width}
    sizes |= {"token_hidden": token_hidden, "channel_hidden": channel_hidden}
    return _block("mixer_block", MixerBlock, sizes, (patches, width), dtype)


def attention(
    width: int = 768, heads: int = 12, tokens: int = 197, dtype: str = "float32"
) -> eg.Workload:
    """Run the attention of a sequence to itself."""
    sizes = {"width": width, "heads": heads}
    return _block("attention", SelfAttention, sizes, (tokens, width), dtype)


def max_pool(
    channels: int = 64,
    size: int = 112,
    window: int = 3,
    stride: int = 2,
    padding: int = 1,
    dtype: str = "float32",
) -> eg.Workload:
    """Run a max pool."""

    def pool(images: jax.Array) -> jax.Array:
        return layers.max_pool(images, window, stride=stride, padding=padding)

    return _pool("max_pool", pool, (size, size, channels), dtype)


def avg_pool(
    channels: int = 64, size: int = 56, window: int = 2, dtype: str = "float32"
) -> eg.Workload:
    """Run an average pool of windows that do not overlap."""

    def pool(images: jax.Array) -> jax.Array:
        return layers.avg_pool(images, window)

    return _pool("avg_pool", pool, (size, size, channels), dtype)


def global_pool(channels: int = 512, size: int = 7, dtype: str = "float32") -> eg.Workload:
    """Run the mean over the whole image."""
    return _pool("global_pool", layers.global_pool, (size, size, channels), dtype)


def batch_norm(channels: int = 64, size: int = 56, dtype: str = "float32") -> eg.Workload:
    """Run batch normalisation as inference does, by the running statistics."""
    return _on_images(
        "batch_norm", layers.batch_norm, {"features": channels}, size, channels, dtype
    )


def layer_norm(width: int = 768, tokens: int = 197, dtype: str = "float32") -> eg.Workload:
    """Run layer normalisation of each token."""
    return _block("layer_norm", layers.layer_norm, {"features": width}, (tokens, width), dtype)


def int8_dense(inputs: int = 1024, outputs: int = 1024) -> eg.Workload:
    """Run a dense layer on int8 weights and activations, summed in int32."""
    sizes = {"inputs": inputs, "outputs": outputs}
    return _int8_block("int8_dense", Int8Dense, sizes, (inputs,))


def int8_conv(
    inputs: int = 64, outputs: int = 64, kernel: int = 3, size: int = 56, stride: int = 1
) -> eg.Workload:
    """Run a convolution on int8 weights and activations, summed in int32."""
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": kernel, "stride": stride}
    return _int8_block("int8_conv", Int8Conv, sizes, (size, size, inputs))


class Pool(nnx.Module):
    """A pool as a module, so that it is a layer.

    Args:
        pool: What to do to the images.
    """

    def __init__(self, pool: layers.Activation) -> None:
        self.pool = pool

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images to smaller ones."""
        return self.pool(images)


def _pool(
    name: str, pool: layers.Activation, input_shape: tuple[int, ...], dtype: str
) -> eg.Workload:
    def build(dtype: str, rngs: nnx.Rngs) -> Pool:
        return Pool(pool)

    return _block(name, build, {}, input_shape, dtype)


def _on_images(
    name: str,
    build: Callable[..., Any],
    sizes: dict[str, int],
    size: int,
    channels: int,
    dtype: str,
) -> eg.Workload:
    return _block(name, build, sizes, (size, size, channels), dtype)


def _int8_block(
    name: str, build: Callable[..., Any], sizes: dict[str, int], input_shape: tuple[int, ...]
) -> eg.Workload:
    network = Network(
        name=name,
        nnx=build,
        sizes=sizes,
        input_shape=input_shape,
        input_dtype="int8",
        integers_below=128,
    )
    return network.forward()


def _block(
    name: str,
    build: Callable[..., Any],
    sizes: dict[str, int],
    input_shape: tuple[int, ...],
    dtype: str,
) -> eg.Workload:
    network = Network(name=name, nnx=build, sizes=sizes, input_shape=input_shape)
    return network.forward(dtype=dtype)
