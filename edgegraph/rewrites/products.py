"""Matrix products of narrow dtypes, in the shape and dtype that the matrix unit takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, register_rewrite

TILE_ROWS = 16
"""Rows of a tile of Intel AMX."""

SMALL, MANY = 8, 64
"""Side of a matrix, and how many of them, for which a library's product is mostly overhead."""

_WIDE = (jnp.dtype(jnp.float32), jnp.dtype(jnp.float64))

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
    """Accumulate in float32, and round once at the end."""
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
    if a.dtype != b.dtype or a.dtype not in (jnp.bfloat16, jnp.int8):
        return None
    if not _single_row(site) or math.prod(b.shape) < 1 << 16:
        return None
    sums = None if a.dtype == jnp.int8 else jnp.float32
    made = sums or site.params["preferred_element_type"]
    return lambda a, b: _rows_dot(site, a, b, made).astype(site.results[0].dtype)


def _single_row(site: Site) -> bool:
    """Return whether the first operand has one free dimension, of one row, and no batch."""
    (contracted, _), (batched, _) = site.params["dimension_numbers"]
    shape = site.operands[0].shape
    free = [size for dimension, size in enumerate(shape) if dimension not in contracted]
    return not batched and free == [1]


def _rows_dot(site: Site, a: Array, b: Array, dtype: Any) -> Array:
    """Multiply with accumulation in `dtype`; a single row is padded with rows of zeros."""
    (contracted, _), _ = site.params["dimension_numbers"]
    one = _single_row(site)
    if one:
        [row] = (d for d in range(a.ndim) if d not in contracted)
        config = [(0, 0, 0)] * a.ndim
        config[row] = (0, TILE_ROWS - 1, 0)
        a = lax.pad(a, jnp.zeros((), a.dtype), config)
    found = lax.dot_general(
        a,
        b,
        site.params["dimension_numbers"],
        precision=site.params["precision"],
        preferred_element_type=dtype,
    )
    return lax.slice_in_dim(found, 0, 1, axis=0) if one else found


@register_rewrite(
    "small-products-as-sums",
    primitive="dot_general",
    title="products of many small matrices -> sums of products",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain",
    source="definition of the matrix product, for all matrices at once",
)
def small_products_as_sums(site: Site) -> Form | None:
    """Multiply whole arrays of columns and rows, and add up."""
    a, b = site.operands
    (taken_a, taken_b), (batch_a, batch_b) = site.params["dimension_numbers"]
    if {a.dtype, b.dtype} - {*_WIDE} or a.dtype != b.dtype or not batch_a:
        return None
    free_a, free_b = (
        [d for d in range(len(each.shape)) if d not in (*taken, *batch)]
        for each, taken, batch in ((a, taken_a, batch_a), (b, taken_b, batch_b))
    )
    batch, depth = (math.prod(a.shape[d] for d in dims) for dims in (batch_a, taken_a))
    rows, columns = a.size // max(batch * depth, 1), b.size // max(batch * depth, 1)
    if not 0 < depth <= SMALL or max(rows, columns) > SMALL or batch < MANY:
        return None

    def form(a: Array, b: Array) -> Array:
        a = lax.transpose(a, (*batch_a, *free_a, *taken_a)).reshape(batch, rows, depth)
        b = lax.transpose(b, (*batch_b, *taken_b, *free_b)).reshape(batch, depth, columns)
        products = (a[:, :, k, None] * b[:, k, None, :] for k in range(depth))
        return reduce(add, products).reshape(site.results[0].shape)

    return form


_NARROW = (jnp.bool_, jnp.int8, jnp.uint8, jnp.int16, jnp.uint16)


@register_rewrite(
    "narrow-dot-by-wide-sums",
    primitive="dot_general",
    title="dot of narrow integers or truth values -> dot with int32 sums, narrowed",
    exactness="exact",
    special="sums wrap around as plain; of truth values any sum but 0 is true",
    source="arithmetic modulo 2^32 is one modulo 2^8 and 2^16 too",
)
def narrow_dot_by_wide_sums(site: Site) -> Form | None:
    """Add up in int32, for which there is a library, and drop the upper bits."""
    dtypes = {each.dtype for each in (*site.operands, *site.results)}
    dtype = site.results[0].dtype
    if len(dtypes) > 1 or dtype not in _NARROW:
        return None
    truth = dtype == jnp.bool_
    # The library takes int8; what is wider or has no sign becomes int32.
    to = jnp.int8 if truth or dtype == jnp.int8 else jnp.int32

    def form(a: Array, b: Array) -> Array:
        numbers = site.params["dimension_numbers"]
        found = lax.dot_general(
            a.astype(to), b.astype(to), numbers, preferred_element_type=jnp.int32
        )
        return found != 0 if truth else found.astype(dtype)

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
    "matrix-transposed",
    primitive="dot_general",
    title="vector times matrix -> vector times matrix stored by columns",
    exactness="reassociating",
    special="NaN and infinities propagate, as plain",
    source="a column's products are added up over numbers that lie side by side",
)
def matrix_transposed(site: Site) -> Form | None:
    """Put the contracted dimension of a matrix last; it pays off where weights are prepared."""
    (taken_a, taken_b), _ = site.params["dimension_numbers"]
    if not _single_row(site) or len(site.operands[1].shape) != 2 or tuple(taken_b) != (0,):
        return None
    if site.operands[1].size < LEAST or site.params.get("out_sharding") is not None:
        return None
    turned = dict(site.params) | {"dimension_numbers": ((taken_a, (1,)), ((), ()))}
    return lambda a, b: replace(site, params=turned).plain(a, lax.transpose(b, (1, 0)))


@register_rewrite(
    "dot-in-bf16",
    primitive="dot_general",
    title="f32 dot -> bf16 dot with f32 sums",
    exactness="lower precision",
    special="NaN and infinities propagate, as plain; operands beyond 3.39e38 become infinite",
    source="jax.lax.dot_general, preferred_element_type",
    needs="bf16",
)
def dot_in_bf16(site: Site) -> Form | None:
    """Round both operands to bfloat16, whose products the matrix unit adds up in float32."""
    if not _wide_product(site) or site.results[0].size < LEAST:
        return None
    return lambda a, b: _dot(site, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))


def _wide_product(site: Site) -> bool:
    """Return whether it is a product in float32 of default precision."""
    dtypes = {each.dtype for each in (*site.operands, *site.results)}
    return dtypes == {jnp.dtype(jnp.float32)} and site.default_precision


@register_rewrite(
    "row-in-bf16",
    primitive="dot_general",
    title="f32 vector times matrix -> bf16 rows of a tile times matrix",
    exactness="lower precision",
    special="NaN and infinities propagate, as plain; operands beyond 3.39e38 become infinite",
    source="the matrix unit takes 16 rows; 15 rows of zeros are sliced off again",
    needs="bf16",
)
def row_in_bf16(site: Site) -> Form | None:
    """Round both operands, and add rows of zeros; half the bytes of weights are read."""
    if not _wide_product(site) or not _single_row(site) or site.operands[1].size < LEAST:
        return None
    return lambda a, b: _rows_dot(site, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), jnp.float32)


@register_rewrite(
    "dense-in-int8",
    primitive="dot_general",
    title="f32 dot -> int8 dot with a scale for each row and column",
    exactness="lower precision",
    special="a NaN or an infinity makes its row or column NaN or undefined",
    source="symmetric quantisation: x ~ s * round(x / s) with s = max|x| / 127",
    needs="int8",
)
def dense_in_int8(site: Site) -> Form | None:
    """Round every row of the first operand, and every column of the second, to 255 steps."""
    (taken_a, taken_b), (batched, _) = site.params["dimension_numbers"]
    if not _wide_product(site) or batched or site.operands[1].size < LEAST:
        return None
    rows, columns = (
        [size for dimension, size in enumerate(each.shape) if dimension not in taken]
        for each, taken in zip(site.operands, (taken_a, taken_b), strict=True)
    )

    def form(a: Array, b: Array) -> Array:
        (a, a_scale), (b, b_scale) = quantised(a, taken_a), quantised(b, taken_b)
        sums = _rows_dot(site, a, b, jnp.int32).astype(jnp.float32)
        return sums * a_scale.reshape(*rows, *[1] * len(columns)) * b_scale.reshape(columns)

    return form


def quantised(array: Array, over: Sequence[int]) -> tuple[Array, Array]:
    """Return integers of at most 127, and their scale."""
    most = jnp.max(jnp.abs(array), axis=tuple(over), keepdims=True)
    scale = jnp.where(most > 0, most / 127.0, 1.0)
    return jnp.round(array / scale).astype(jnp.int8), scale
