"""Cumulative sums and maxima, which XLA's CPU backend computes as full-length windows."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, register_rewrite

SHORTEST = 128
"""Elements; shorter ones gain nothing."""

BLOCK = 64
"""Elements that one product sums up."""

UNROLLED = 8
"""Steps in one turn of a loop."""

_WIDE = (jnp.float32, jnp.float64, jnp.int32, jnp.int64, jnp.uint32, jnp.uint64)
"""Dtypes whose rounding, if any, a chain of steps may add up."""


@register_rewrite(
    "cumsum-as-dots",
    primitive="cumsum",
    title="cumulative sum -> products with a triangle of ones",
    exactness="reassociating",
    special="finite inputs only: an infinity or NaN spreads over its block of 64",
    source="prefix sums by blocks: within a block by a triangular matrix, then the blocks' totals",
)
def cumsum_as_dots(site: Site) -> Form | None:
    """Sum within blocks by a product, and add the totals of the blocks before."""
    axis, x = site.params["axis"], site.operands[0]
    reverse = site.params["reverse"]
    if x.dtype != jnp.float32 or x.shape[axis] < SHORTEST:
        return None

    def form(x: Array) -> Array:
        rows = jnp.moveaxis(x, axis, -1)
        length = rows.shape[-1]
        blocks = -(-length // BLOCK)
        rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, blocks * BLOCK - length)])
        rows = rows.reshape(*rows.shape[:-1], blocks, BLOCK)
        ones = jnp.ones((BLOCK, BLOCK), rows.dtype)
        triangle = jnp.tril(ones) if reverse else jnp.triu(ones)
        within = jnp.matmul(rows, triangle, precision=lax.Precision.HIGHEST)
        totals = within[..., 0 if reverse else -1]
        before = lax.cumsum(totals, totals.ndim - 1, reverse) - totals
        whole = (within + before[..., None]).reshape(*rows.shape[:-2], blocks * BLOCK)
        return jnp.moveaxis(whole[..., :length], -1, axis)

    return form


def _carried(site: Site, combine: Callable[[Array, Array], Array], start: float) -> Form | None:
    axis, x = site.params["axis"], site.operands[0]
    if x.shape[axis] < SHORTEST:
        return None

    def form(x: Array) -> Array:
        rows = jnp.moveaxis(x, axis, 0)

        def step(before: Array, row: Array) -> tuple[Array, Array]:
            found = combine(before, row)
            return found, found

        first = jnp.full(rows.shape[1:], start, rows.dtype)
        _, found = lax.scan(step, first, rows, reverse=site.params["reverse"], unroll=UNROLLED)
        return jnp.moveaxis(found, 0, axis)

    return form


def _is_floating(site: Site) -> bool:
    return bool(jnp.issubdtype(site.operands[0].dtype, jnp.floating))


_EXTREME = "NaN propagates, as plain; of zeros of both signs either may come out"


@register_rewrite(
    "cummax-as-scan",
    primitive="cummax",
    title="cumulative maximum -> unrolled loop",
    exactness="exact",
    special=_EXTREME,
    source="definition",
)
def cummax_as_scan(site: Site) -> Form | None:
    """Carry the maximum along, eight elements per iteration."""
    return _carried(site, jnp.maximum, -jnp.inf) if _is_floating(site) else None


@register_rewrite(
    "cummin-as-scan",
    primitive="cummin",
    title="cumulative minimum -> unrolled loop",
    exactness="exact",
    special=_EXTREME,
    source="definition",
)
def cummin_as_scan(site: Site) -> Form | None:
    """Carry the minimum along, eight elements per iteration."""
    return _carried(site, jnp.minimum, jnp.inf) if _is_floating(site) else None


@register_rewrite(
    "cumsum-as-scan",
    primitive="cumsum",
    title="cumulative sum -> unrolled loop",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain; a sum of -0 comes out as 0",
    source="definition",
)
def cumsum_as_scan(site: Site) -> Form | None:
    """Carry the sum along, eight elements per iteration."""
    return _carried(site, jnp.add, 0) if site.operands[0].dtype in _WIDE else None


@register_rewrite(
    "cumprod-as-scan",
    primitive="cumprod",
    title="cumulative product -> unrolled loop",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain; where to products under- or overflow on the"
    " way may differ",
    source="definition",
)
def cumprod_as_scan(site: Site) -> Form | None:
    """Carry the product along, eight elements per iteration."""
    return _carried(site, jnp.multiply, 1) if site.operands[0].dtype in _WIDE else None
