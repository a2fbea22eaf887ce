"""Pooling by slices, one dimension after the other, and its gradient.

A window's maximum is the maximum along one dimension of the maxima along the others; so is its
sum. The gradient of a maximum goes to the first of equal elements, as XLA's select-and-scatter
has it with ``>=``: ties go to the same element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, derived_as, register_rewrite

LONGEST_WINDOW = 16
"""Elements along one dimension; longer windows make long programs."""

_SEPARABLE = "a maximum, or sum, over a box is one over each side after the other"


def _plain_window(site: Site) -> bool:
    params = site.params
    dilations = (*params.get("base_dilation", ()), *params.get("window_dilation", ()))
    return (
        all(each == 1 for each in dilations)
        and max(params["window_dimensions"], default=1) <= LONGEST_WINDOW
        and math.prod(params["window_dimensions"]) > 1
        and math.prod(site.results[0].shape) > 0
    )


def _separately(site: Site, combine: Callable[[Array, Array], Array], start: Any) -> Form:
    params = site.params

    def form(x: Array) -> Array:
        padding = [(low, high, 0) for low, high in params["padding"]]
        x = lax.pad(x, jnp.array(start, x.dtype), padding) if any(map(any, padding)) else x
        sides = zip(params["window_dimensions"], params["window_strides"], strict=True)
        for dimension, (size, stride) in enumerate(sides):
            if size == stride == 1:
                continue
            last = (x.shape[dimension] - size) // stride * stride
            x = reduce(
                combine,
                [
                    lax.slice_in_dim(x, first, first + last + 1, stride, dimension)
                    for first in range(size)
                ],
            )
        return x

    return form


@register_rewrite(
    "max-pool-as-slices",
    primitive="reduce_window_max",
    title="max pooling -> maxima of slices",
    exactness="exact",
    special="NaN propagates, as plain; of zeros of both signs either may come out; the gradient of"
    " a tie goes to its first element, as plain",
    source=_SEPARABLE,
)
def max_pool_as_slices(site: Site) -> Form | None:
    """Take the maximum of shifted slices, dimension by dimension."""
    dtype = site.operands[0].dtype
    if not _plain_window(site) or not jnp.issubdtype(dtype, jnp.floating):
        return None
    return derived_as(site.plain, _separately(site, jnp.maximum, -jnp.inf))


@register_rewrite(
    "sum-pool-as-slices",
    primitive="reduce_window_sum",
    title="average pooling -> sums of slices",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain",
    source=_SEPARABLE,
)
def sum_pool_as_slices(site: Site) -> Form | None:
    """Add up shifted slices, dimension by dimension; also the gradient of an average."""
    params, dtype = site.params, site.operands[0].dtype
    if dtype not in (jnp.float32, jnp.float64):
        return None
    if any(each != 1 for each in params.get("window_dilation", ())):
        return None
    if max(params["window_dimensions"], default=1) > LONGEST_WINDOW:
        return None
    holes = tuple(params.get("base_dilation", ()))
    if any(each != 1 for each in holes):
        return _filled(site, holes)
    return _separately(site, jnp.add, 0) if _plain_window(site) else None


def _filled(site: Site, holes: tuple[int, ...]) -> Form:
    """Write the dilation of the input out first, which the gradient of a strided average has."""
    padding = [
        (low, high, hole - 1)
        for (low, high), hole in zip(site.params["padding"], holes, strict=True)
    ]
    bare = Site(
        primitive=site.primitive,
        params=dict(site.params) | {"padding": tuple((0, 0) for _ in padding)},
        operands=site.operands,
        results=site.results,
    )
    summed = _separately(bare, jnp.add, 0)
    return lambda x: summed(lax.pad(x, jnp.zeros((), x.dtype), padding))


@register_rewrite(
    "sum-pool-gradient-as-broadcast",
    primitive="pad>reduce_window_sum",
    title="gradient of separate average pooling -> broadcast",
    exactness="exact",
    special="NaN and infinities propagate, as plain",
    source="with holes as wide as the window, every window holds one element",
)
def sum_pool_gradient_as_broadcast(site: Site) -> Form | None:
    """Repeat every element over its window."""
    assert site.first is not None
    params, config = site.params, site.first.params["padding_config"]
    sizes = params["window_dimensions"]
    if site.literals[1] != 0 or not _plain_window(site) or set(params["window_strides"]) != {1}:
        return None
    if any(map(any, params["padding"])) or [hole + 1 for _, _, hole in config] != [*sizes]:
        return None

    def form(x: Array, zero: Array) -> Array:
        x = _spread(x, sizes).reshape([n * k for n, k in zip(x.shape, sizes, strict=True)])
        around = []
        shapes = zip(sizes, config, x.shape, site.results[0].shape, strict=True)
        for size, (low, _, _), n, whole in shapes:
            before = int(low) - (size - 1)
            around.append((before, whole - before - n, 0))
        return lax.pad(x, jnp.zeros((), x.dtype), around)

    return form


def _spread(x: Array, sizes: Sequence[int]) -> Array:
    """Repeat every element over a block, whose dimensions follow each dimension of `x`."""
    shape = [n for pair in zip(x.shape, sizes, strict=True) for n in pair]
    return lax.broadcast_in_dim(x, shape, range(0, 2 * x.ndim, 2))


_FIRST = "openxla/xla, select-and-scatter with >=: the first maximum in window order"
_CHOSEN = (
    "a tie goes to its first element, and of NaN to the first number after it, as plain; where all"
    " is -inf and padded, no element gets it"
)


def _first_maxima(site: Site) -> bool:
    """Whether it is the gradient of a maximum over short windows."""
    params, x = site.params, site.operands[1]
    return bool(
        params["select_prim"].name == "ge"
        and _plain_window(site)
        and jnp.issubdtype(x.dtype, jnp.floating)
        and math.prod(params["window_dimensions"]) <= LONGEST_WINDOW
    )


def _padded(site: Site, x: Array) -> Array:
    padding = [(low, high, 0) for low, high in site.params["padding"]]
    return lax.pad(x, jnp.array(-jnp.inf, x.dtype), padding)


def _chosen(site: Site, padded: Array) -> tuple[list[tuple[int, ...]], Array]:
    """Return the taps of a window, and for each window the number of the chosen one."""
    strides, extent = site.params["window_strides"], site.operands[0].shape
    taps = list(np.ndindex(*site.params["window_dimensions"]))
    best, chosen = jnp.zeros(()), jnp.zeros(extent, jnp.int32)
    for number, tap in enumerate(taps):
        limit = [i + (n - 1) * s + 1 for i, n, s in zip(tap, extent, strides, strict=True)]
        values = lax.slice(padded, tap, limit, strides)
        if number:
            better = ~(best >= values)
            values = jnp.where(better, values, best)
            chosen = jnp.where(better, number, chosen)
        best = values
    return taps, chosen


@register_rewrite(
    "max-pool-gradient-as-hits",
    primitive="select_and_scatter_add",
    title="gradient of max pooling -> masks of first maxima",
    exactness="reassociating",
    special=_CHOSEN,
    source=_FIRST,
)
def max_pool_gradient_as_hits(site: Site) -> Form | None:
    """Send each window's gradient to its first maximum, tap by tap."""
    if not _first_maxima(site):
        return None
    strides = site.params["window_strides"]

    def form(gradient: Array, x: Array) -> Array:
        padded = _padded(site, x)
        taps, chosen = _chosen(site, padded)
        zero = jnp.zeros((), gradient.dtype)
        total = jnp.zeros(padded.shape, gradient.dtype)
        for number, tap in enumerate(taps):
            spans = [
                (first, side - (first + (n - 1) * stride + 1), stride - 1)
                for first, n, stride, side in zip(
                    tap, gradient.shape, strides, padded.shape, strict=True
                )
            ]
            total = total + lax.pad(jnp.where(chosen == number, gradient, zero), zero, spans)
        return _unpadded(site, total)

    return form


def _unpadded(site: Site, total: Array) -> Array:
    """Return the part of a result, from the padded start on, that is the input's."""
    config = [
        (-low, n + low - whole, 0)
        for (low, _), n, whole in zip(
            site.params["padding"], site.results[0].shape, total.shape, strict=True
        )
    ]
    return lax.pad(total, jnp.zeros((), total.dtype), config)


@register_rewrite(
    "max-pool-gradient-as-blocks",
    primitive="select_and_scatter_add",
    title="gradient of separate max pooling -> blocks of first maxima",
    exactness="exact",
    special=_CHOSEN,
    source=_FIRST,
)
def max_pool_gradient_as_blocks(site: Site) -> Form | None:
    """Compare the number of every element in its window with that of the first maximum."""
    sizes = site.params["window_dimensions"]
    if not _first_maxima(site) or tuple(sizes) != tuple(site.params["window_strides"]):
        return None

    def form(gradient: Array, x: Array) -> Array:
        _, chosen = _chosen(site, _padded(site, x))
        spread = _spread(gradient, sizes)
        numbers = lax.broadcast_in_dim(
            lax.iota(jnp.int32, math.prod(sizes)).reshape(sizes),
            spread.shape,
            range(1, spread.ndim, 2),
        )
        found = jnp.where(numbers == _spread(chosen, sizes), spread, jnp.zeros((), gradient.dtype))
        covered = [n * size for n, size in zip(gradient.shape, sizes, strict=True)]
        return _unpadded(site, found.reshape(covered))

    return form
