"""Matrix products of narrow dtypes, in the shape and dtype that the matrix unit takes."""

from __future__ import annotations

import math
from dataclasses import replace

import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, register_rewrite

TILE_ROWS = 16
"""Rows of a tile of Intel AMX."""

LEAST = 1 << 12
"""Numbers of a matrix, below which no form of a product pays."""


@register_rewrite(
    "dot-sums-in-f32",
    primitive="dot_general",
    title="bf16 dot -> bf16 dot with f32 sums",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain",
    source="jax.lax.dot_general, preferred_element_type",
)
def dot_sums_in_f32(site: Site) -> Form | None:
    """Ask for sums in float32, and round once at the end."""
    dtypes = {each.dtype for each in site.operands} | {site.results[0].dtype}
    if dtypes not in ({jnp.dtype(jnp.bfloat16)}, {jnp.dtype(jnp.float16)}):
        return None
    if site.params["preferred_element_type"] == jnp.float32:
        return None
    return lambda a, b: _dot(site, a, b).astype(site.results[0].dtype)


def _dot(site: Site, a: Array, b: Array) -> Array:
    return lax.dot_general(
        a,
        b,
        site.params["dimension_numbers"],
        precision=site.params["precision"],
        preferred_element_type=jnp.float32,
    )


@register_rewrite(
    "row-padded-to-tile",
    primitive="dot_general",
    title="vector times matrix -> rows of a tile times matrix",
    exactness="exact",
    special="NaN and infinities propagate, as plain",
    source="the matrix unit takes 16 rows; 15 rows of zeros are sliced off again",
)
def row_padded_to_tile(site: Site) -> Form | None:
    """Add rows of zeros, so that the matrix unit takes the product."""
    a, b = site.operands
    (contracted, _), (batched, _) = site.params["dimension_numbers"]
    if a.dtype != b.dtype or a.dtype not in (jnp.bfloat16, jnp.int8) or batched:
        return None
    free = [dimension for dimension in range(len(a.shape)) if dimension not in contracted]
    if len(free) != 1 or a.shape[free[0]] != 1 or math.prod(b.shape) < 1 << 16:
        return None
    [row] = free

    def form(a: Array, b: Array) -> Array:
        config = [(0, 0, 0)] * a.ndim
        config[row] = (0, TILE_ROWS - 1, 0)
        rows = lax.pad(a, jnp.zeros((), a.dtype), config)
        sums = None if a.dtype == jnp.int8 else jnp.float32
        found = lax.dot_general(
            rows,
            b,
            site.params["dimension_numbers"],
            precision=site.params["precision"],
            preferred_element_type=sums or site.params["preferred_element_type"],
        )
        return lax.slice_in_dim(found, 0, 1, axis=0).astype(site.results[0].dtype)

    return form


@register_rewrite(
    "dot-swapped",
    primitive="dot_general",
    title="vector times matrix -> transposed matrix times vector",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain",
    source="the transpose of a product is the product of the transposes, swapped",
)
def dot_swapped(site: Site) -> Form | None:
    """Swap the operands of a product whose first one is a single row, or one for each batch."""
    (taken_a, taken_b), (batch_a, batch_b) = site.params["dimension_numbers"]
    a, b = (len(each.shape) for each in site.operands)
    rows = [d for d in range(a) if d not in (*taken_a, *batch_a)]
    if math.prod(site.operands[0].shape[d] for d in rows) != 1 or site.operands[1].size < LEAST:
        return None
    if site.params.get("out_sharding") is not None:
        return None
    batch, left = len(batch_a), b - len(taken_b) - len(batch_b)
    order = [*range(batch), *range(batch + left, batch + left + len(rows))]
    order += range(batch, batch + left)
    swapped = dict(site.params) | {"dimension_numbers": ((taken_b, taken_a), (batch_b, batch_a))}
    precision = site.params["precision"]
    swapped["precision"] = precision[::-1] if isinstance(precision, tuple) else precision
    return lambda a, b: lax.transpose(replace(site, params=swapped).plain(b, a), order)


@register_rewrite(
    "dot-in-bf16",
    primitive="dot_general",
    title="f32 dot -> bf16 dot with f32 sums",
    exactness="lower precision",
    special="NaN and infinities propagate, as plain; operands beyond 3.39e38 become infinite",
    source="jax.lax.dot_general, preferred_element_type",
)
def dot_in_bf16(site: Site) -> Form | None:
    """Round both operands to bfloat16, whose products the matrix unit adds up in float32."""
    dtypes = {each.dtype for each in (*site.operands, *site.results)}
    if dtypes != {jnp.dtype(jnp.float32)} or site.results[0].size < LEAST:
        return None
    if not site.default_precision:
        return None
    return lambda a, b: _dot(site, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))
