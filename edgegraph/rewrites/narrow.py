"""Convolutions in float32 as matrix products of operands rounded to narrower dtypes."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array

from edgegraph.rewrites.convolution import Convolution, matched, sum_of_dots
from edgegraph.rewrites.products import quantised
from edgegraph.rewrites.rule import Form, Site, register_rewrite

MOST_TAPS = 49
FEWEST_CHANNELS = 16
_DEFINITION = "definition of the convolution, a sum over taps"


def _narrowed(site: Site) -> Convolution | None:
    """Return a convolution in float32 without groups or holes, with enough channels for a dot."""
    c = matched(site)
    if c is None or c.groups != 1 or c.batch_groups != 1 or not c.padded_only:
        return None
    dtypes = {each.dtype for each in (*site.operands, *site.results)}
    if dtypes != {jnp.dtype(jnp.float32)} or not site.default_precision:
        return None
    return c if math.prod(c.sizes) <= MOST_TAPS and c.channels >= FEWEST_CHANNELS else None


@register_rewrite(
    "taps-as-bf16-dots",
    primitive="conv_general_dilated",
    title="f32 conv -> sum of bf16 dots, added up in f32",
    exactness="lower precision",
    special="NaN and infinities propagate, as plain; operands beyond 3.39e38 become infinite",
    source=_DEFINITION,
    needs="bf16",
)
def taps_as_bf16_dots(site: Site) -> Form | None:
    """Round both operands to bfloat16, whose products the matrix unit adds up in float32."""
    c = _narrowed(site)
    if c is None:
        return None
    return lambda x, w: sum_of_dots(c)(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))


@register_rewrite(
    "taps-as-int8-dots",
    primitive="conv_general_dilated",
    title="f32 conv -> sum of int8 dots, a scale for each example and channel",
    exactness="lower precision",
    special="a NaN or an infinity makes its example or channel NaN or undefined",
    source="symmetric quantisation: x ~ s * round(x / s) with s = max|x| / 127",
    needs="int8",
)
def taps_as_int8_dots(site: Site) -> Form | None:
    """Round every example, and the weights of every channel out, to 255 steps."""
    c = _narrowed(site)
    if c is None:
        return None

    def form(x: Array, w: Array) -> Array:
        x, x_scale = quantised(x, (c.feature, *c.spatial))
        w, w_scale = quantised(w, (c.taken, *c.taps))
        sums: Array = sum_of_dots(c, jnp.int32)(x, w)
        by_example, by_channel = [1] * sums.ndim, [1] * sums.ndim
        by_example[c.result[0]], by_channel[c.result[1]] = -1, -1
        return sums * x_scale.reshape(by_example) * w_scale.reshape(by_channel)

    return form
