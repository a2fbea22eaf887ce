"""int8 layers: 8-bit weights and activations, 32-bit accumulation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


def _kernel(shape: tuple[int, ...], rngs: nnx.Rngs) -> jax.Array:
    """Draw int8 weights; they are symmetric, so -128 is left out."""
    return jax.random.randint(rngs.params(), shape, -127, 128, jnp.int8)


def _requantize(sums: jax.Array, scale: jax.Array) -> jax.Array:
    """Scale int32 sums per output channel and round them back to int8."""
    return jnp.clip(jnp.round(sums * scale), -127, 127).astype(jnp.int8)


class Int8Dense(nnx.Module):
    """A dense layer of int8 by int8, summed in int32 and scaled back to int8.

    Args:
        inputs: Width of the input.
        outputs: Width of the output.
        dtype: Of the scales.
        rngs: Where the weights come from.
    """

    def __init__(self, inputs: int, outputs: int, *, dtype: str, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(_kernel((inputs, outputs), rngs))
        self.scale = nnx.Param(jnp.full((outputs,), 1 / (127 * inputs**0.5), dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map int8 of (batch, inputs) to int8 of (batch, outputs)."""
        sums = lax.dot_general(
            x, self.kernel[...], (((1,), (0,)), ((), ())), preferred_element_type=jnp.int32
        )
        return _requantize(sums, self.scale[...])


class Int8Conv(nnx.Module):
    """A square convolution of int8 by int8, summed in int32 and scaled back to int8.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Height and width of the kernel, odd; the padding is half of it.
        stride: Step between windows.
        dtype: Of the scales.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.kernel = nnx.Param(_kernel((kernel, kernel, inputs, outputs), rngs))
        self.scale = nnx.Param(jnp.full((outputs,), 1 / (127 * kernel * inputs**0.5), dtype))
        self.stride = stride

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map int8 images of `inputs` channels to int8 images of `outputs` channels."""
        kernel = self.kernel[...]
        padding = kernel.shape[0] // 2
        sums = lax.conv_general_dilated(
            images,
            kernel,
            (self.stride, self.stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.int32,
        )
        return _requantize(sums, self.scale[...])
