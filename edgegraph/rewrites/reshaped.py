"""Convolutions as one product, or as one that the library takes, of a reshaped input.

All forms here put the input into the order (batch, *space, channels) and the kernel into
(*taps, channels in, channels out) first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add

import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.convolution import Convolution, matched, register, sums_of
from edgegraph.rewrites.rule import Form, Site

MOST_PLACES = 14 * 14
"""Positions of a result, up to which writing out what every one reads may pay."""

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def _input(c: Convolution, x: Array) -> Array:
    return lax.transpose(x, (c.batch, *c.spatial, c.feature))


def _kernel(c: Convolution, w: Array) -> Array:
    return lax.transpose(w, (*c.taps, c.taken, c.made))


def _finished(c: Convolution, found: Array) -> Array:
    """Put a result in the order (batch, *space, channels) into that of the site."""
    return c.finished(found, (0, found.ndim - 1, *range(1, found.ndim - 1)))


def _product(c: Convolution, rows: Array, w: Array) -> Array:
    """Contract the last dimension of `rows` with all dimensions of the kernel but channels out."""
    return lax.dot_general(
        rows,
        w.reshape(-1, c.kernel_out),
        (((rows.ndim - 1,), (0,)), ((), ())),
        precision=c.site.params["precision"],
        preferred_element_type=sums_of(c),
    )


def _split(x: Array, sizes: Sequence[int]) -> Array:
    """Split all dimensions but the first and last into blocks of `sizes`.

    The order becomes (first, *blocks, *in a block, last).
    """
    rank = len(sizes)
    shape = [x.shape[0]]
    for n, size in zip(x.shape[1:-1], sizes, strict=True):
        shape += [n // size, size]
    blocks = range(1, 1 + 2 * rank, 2)
    order = [0, *blocks, *(each + 1 for each in blocks), 1 + 2 * rank]
    return lax.transpose(x.reshape(*shape, x.shape[-1]), order)


def _ungrouped(site: Site) -> Convolution | None:
    """Return a convolution without groups, whose input is not dilated."""
    c = matched(site)
    if c is None or c.groups != 1 or c.batch_groups != 1 or not c.padded_only:
        return None
    return c


def _dense(c: Convolution) -> bool:
    return all(each == 1 for each in c.dilation)


@register("patches-as-dot", "conv of separate patches -> dot")
def patches_as_dot(site: Site) -> Form | None:
    """Lay out every patch as a row, and multiply it by the kernel."""
    c = _ungrouped(site)
    if c is None or math.prod(c.sizes) == 1 or tuple(c.strides) != c.sizes or not _dense(c):
        return None

    def form(x: Array, w: Array) -> Array:
        x = _input(c, c.padded(x))
        covered = [n * size for n, size in zip(c.extent, c.sizes, strict=True)]
        x = lax.slice(x, [0] * x.ndim, [x.shape[0], *covered, x.shape[-1]])
        rows = _split(x, c.sizes).reshape(x.shape[0], *c.extent, -1)
        return _finished(c, _product(c, rows, _kernel(c, w)))

    return form


@register("windows-as-dot", "conv of a small map -> one dot")
def windows_as_dot(site: Site) -> Form | None:
    """Lay out what every position reads as a row, and multiply it by the kernel (im2col)."""
    c = _ungrouped(site)
    if c is None or math.prod(c.extent) > MOST_PLACES or not 1 < math.prod(c.sizes) <= 49:
        return None

    def form(x: Array, w: Array) -> Array:
        x = c.padded(x)
        rows = jnp.concatenate([_input(c, c.seen(x, tap)) for tap in c.indices], -1)
        return _finished(c, _product(c, rows, _kernel(c, w)))

    return form


def _convolve(
    c: Convolution,
    x: Array,
    w: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    holes: Sequence[int],
    dilation: Sequence[int],
) -> Array:
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        padding,
        holes,
        dilation,
        dimension_numbers=LAYOUTS[len(strides)],
        feature_group_count=c.groups,
        precision=c.site.params["precision"],
        preferred_element_type=sums_of(c),
    )


def _flat(c: Convolution, x: Array, w: Array) -> Array:
    """Convolve over all dimensions but the first; the batch and the first one are joined."""
    params = c.site.params
    joined = x.reshape(-1, *x.shape[2:])
    found = _convolve(
        c, joined, w, c.strides[1:], params["padding"][1:], params["lhs_dilation"][1:],
        c.dilation[1:],
    )  # fmt: skip
    return found.reshape(*x.shape[:2], *found.shape[1:])


def _deep(site: Site) -> Convolution | None:
    c = matched(site)
    if c is None or len(c.spatial) != 3 or c.batch_groups != 1:
        return None
    return c


def _slices(c: Convolution, x: Array) -> list[Array]:
    """Return what every tap of the first dimension reads, for all its positions."""
    config = [(0, 0, 0)] * x.ndim
    config[1] = (*c.site.params["padding"][0], c.site.params["lhs_dilation"][0] - 1)
    x = lax.pad(x, jnp.zeros((), x.dtype), config)
    step, last = c.strides[0], (c.extent[0] - 1) * c.strides[0] + 1
    starts = [tap * c.dilation[0] for tap in range(c.sizes[0])]
    return [lax.slice_in_dim(x, start, start + last, step, 1) for start in starts]


@register("volume-as-sum-of-flat", "3-D conv -> sum of 2-D convs")
def volume_as_sum_of_flat(site: Site) -> Form | None:
    """Convolve the slices of a volume for each depth of the kernel, and add up."""
    c = _deep(site)
    if c is None or c.sizes[0] > 8:
        return None

    def form(x: Array, w: Array) -> Array:
        parts = zip(_slices(c, _input(c, x)), _kernel(c, w), strict=True)
        return _finished(c, reduce(add, (_flat(c, part, tap) for part, tap in parts)))

    return form


@register("volume-as-stacked-flat", "3-D conv -> 2-D conv of stacked slices")
def volume_as_stacked_flat(site: Site) -> Form | None:
    """Join the slices that a result reads as channels, and convolve once; also for weights."""
    c = _deep(site)
    if c is None or c.groups != 1 or c.sizes[0] > 64:
        return None

    def form(x: Array, w: Array) -> Array:
        stacked = jnp.concatenate(_slices(c, _input(c, x)), -1)
        w = jnp.concatenate(list(_kernel(c, w)), -2)
        return _finished(c, _flat(c, stacked, w))

    return form


@register("channels-padded", "conv of 3 channels -> of 4, one of them zero")
def channels_padded(site: Site) -> Form | None:
    """Add a channel of zeros, so that channels fill a vector."""
    c = matched(site)
    if c is None or c.channels != 3 or c.groups != 1 or c.batch_groups != 1:
        return None

    def one_more(array: Array, dimension: int) -> Array:
        config = [(0, 0, 0)] * array.ndim
        config[dimension] = (0, 1, 0)
        return lax.pad(array, jnp.zeros((), array.dtype), config)

    return lambda x, w: site.plain(one_more(x, c.feature), one_more(w, c.taken))
