"""Sorting and quantiles of float32 by integer keys; the place of the largest by equality.

XLA's CPU backend compares floats one by one, with a rule for NaN and zeros. The bits of floats,
flipped where they are negative, are in the same order as integers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, derived_as, register_rewrite

SHORTEST = 128
"""Elements of a row; a shorter one gains nothing."""

_MAGNITUDE = 0x7FFFFFFF
_INFINITY = 0x7F800000
_NAN = 0x7FC00000


def _bits(x: Array) -> Array:
    """Return the bits of float32, with a single NaN."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    return jnp.where(bits & _MAGNITUDE > _INFINITY, _NAN, bits)


def _turned(bits: Array) -> Array:
    """Convert bits of floats to integers of the same order, or back."""
    return jnp.where(bits < 0, bits ^ _MAGNITUDE, bits)


def _of_keys(keys: Array) -> Array:
    return lax.bitcast_convert_type(_turned(keys), jnp.float32)


def _equal_zeros(bits: Array) -> Array:
    return jnp.where(bits & _MAGNITUDE == 0, 0, bits)


@register_rewrite(
    "sort-by-integer-keys",
    primitive="sort",
    title="sort of floats -> sort of integers",
    exactness="exact",
    special="NaN last, as plain; zeros of both signs and equal keys stay in their order, as plain",
    source="IEEE 754, 5.10: the total order of floats is that of their bits",
)
def sort_by_integer_keys(site: Site) -> Form | None:
    """Sort the keys alone where they are the values; else sort the values along with them."""
    keys, *others = site.operands
    params = site.params
    if keys.dtype != jnp.float32 or params["num_keys"] != 1:
        return None
    if keys.shape[params["dimension"]] < SHORTEST:
        return None

    def alone(x: Array) -> tuple[Array]:
        found = lax.sort(_turned(_bits(x)), dimension=params["dimension"], is_stable=False)
        return (_of_keys(found),)

    def unless_mixed(x: Array) -> tuple[Array]:
        # Keys put -0 before 0, where a stable sort leaves both where they stood.
        bits = lax.bitcast_convert_type(x, jnp.int32)
        mixed = jnp.any(bits == 0) & jnp.any(bits == -(1 << 31))
        return lax.cond(mixed, plain, alone, x)  # type: ignore[no-any-return]

    def along(x: Array, *others: Array) -> tuple[Array, ...]:
        key = _turned(_equal_zeros(_bits(x)))
        return tuple(lax.sort((key, x, *others), **params)[1:])

    def plain(*operands: Array) -> tuple[Array, ...]:
        return tuple(site.plain(*operands))

    one = unless_mixed if params["is_stable"] else alone
    return derived_as(plain, along if others else one)


@register_rewrite(
    "first-of-sorted-as-top-k",
    primitive="jit>slice",
    title="sort or argsort, first k -> top k",
    exactness="exact",
    special="NaN last, zeros of both signs equal, and ties in their order, as plain",
    source="jax.lax.top_k of what is negated, with one NaN and one zero",
)
def first_of_sorted_as_top_k(site: Site) -> Form | None:
    """Select the smallest instead of sorting the whole row."""
    assert site.first is not None
    x, name = site.operands[0], site.first.params["name"]
    if name not in _SORTS or len(site.operands) != 1 or x.dtype != jnp.float32:
        return None
    axis = _sorts(name, x.shape).get(str(site.first.params["jaxpr"]))
    steps = site.params["strides"] or ()
    if axis is None or any((*site.params["start_indices"], *(step - 1 for step in steps))):
        return None
    limits = site.params["limit_indices"]
    others = [limit == n for limit, n in zip(limits, x.shape, strict=True)]
    if x.shape[axis] < SHORTEST or 4 * limits[axis] > x.shape[axis] or others.count(False) != 1:
        return None

    def form(x: Array) -> Array:
        rows = jnp.moveaxis(x, axis, -1)
        negated = lax.bitcast_convert_type(_equal_zeros(_bits(rows)) ^ -(1 << 31), jnp.float32)
        places = lax.top_k(negated, limits[axis])[1]
        found = jnp.take_along_axis(rows, places, -1) if name == "sort" else places
        return jnp.moveaxis(found, -1, axis).astype(site.results[0].dtype)

    return derived_as(site.plain, form)


_SORTS: dict[str, Callable[..., Any]] = {"sort": jnp.sort, "argsort": jnp.argsort}


@cache
def _sorts(name: str, shape: tuple[int, ...]) -> dict[str, int]:
    """Return what a function of jax.numpy traces to, with its axis."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)

    def traced(axis: int) -> str:
        [equation] = jax.make_jaxpr(lambda x: _SORTS[name](x, axis))(x).eqns
        return str(equation.params["jaxpr"])

    return {traced(axis): axis for axis in range(len(shape))}


_METHODS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "linear": lambda low, high, weight: low * (1 - weight) + high * weight,
    "lower": lambda low, high, weight: low,
    "higher": lambda low, high, weight: high,
    "midpoint": lambda low, high, weight: (low + high) * 0.5,
}
"""What jax.numpy.quantile makes of the elements below and above, and of the rest of the index."""


@register_rewrite(
    "quantile-by-counting",
    primitive="jit",
    title="median or quantile -> counting bit by bit",
    exactness="exact",
    special="a row with NaN gives NaN, as plain; of zeros of both signs either may come out",
    source="radix selection: the highest key below which there are at most k others, bit by bit",
)
def quantile_by_counting(site: Site) -> Form | None:
    """Find an element of the sorted row by 32 passes over the row, without sorting it."""
    if site.params["name"] != "quantile" or len(site.operands) != 2:
        return None
    x, fraction = site.operands
    if x.dtype != jnp.float32 or fraction.shape or fraction.dtype != jnp.float32:
        return None
    known = _quantiles(x.shape).get(str(site.params["jaxpr"]))
    if known is None:
        return None
    axis, method = known
    length = x.size if axis is None else x.shape[axis]
    if length < SHORTEST:
        return None

    def form(x: Array, fraction: Array) -> Array:
        rows = x.reshape(1, -1) if axis is None else jnp.moveaxis(x, axis, -1)
        index = fraction * (length - 1)
        low, high = (
            jnp.clip(each, 0, length - 1).astype(jnp.int32)
            for each in (jnp.floor(index), jnp.ceil(index))
        )
        below, above = _elements(rows, low, high)
        found = _METHODS[method](below, above, index - jnp.floor(index))
        found = jnp.where(jnp.isnan(rows).any(-1), jnp.nan, found)
        return found.reshape(site.results[0].shape)

    return derived_as(lambda *operands: site.plain(*operands)[0], form)


@cache
def _quantiles(shape: tuple[int, ...]) -> dict[str, tuple[int | None, str]]:
    """Return what jax.numpy.quantile traces to, with its axis and method."""
    x, fraction = (jax.ShapeDtypeStruct(each, jnp.float32) for each in (shape, ()))

    def traced(axis: int | None, method: str, keepdims: bool) -> str:
        def quantile(x: Any, fraction: Any) -> Any:
            return jnp.quantile(x, fraction, axis, method=method, keepdims=keepdims)

        [equation] = jax.make_jaxpr(quantile)(x, fraction).eqns
        return str(equation.params["jaxpr"])

    return {
        traced(axis, method, keepdims): (axis, method)
        for axis in (None, *range(len(shape)))
        for method in _METHODS
        for keepdims in (False, True)
    }


def _elements(rows: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the elements `low` and `high`, which is at most one more, of every sorted row."""
    highest = jnp.uint32(1 << 31)
    # From integers in the order of the floats to unsigned ones.
    keys = lax.bitcast_convert_type(_turned(_bits(rows)), jnp.uint32) ^ highest

    def step(number: Array, found: Array) -> Array:
        longer = found | highest >> number.astype(jnp.uint32)
        smaller = jnp.sum(keys < longer[..., None], -1, dtype=jnp.int32)
        return jnp.where(smaller <= low, longer, found)

    first = lax.fori_loop(0, 32, step, jnp.zeros(rows.shape[:-1], jnp.uint32))
    larger = keys > first[..., None]
    count = rows.shape[-1] - jnp.sum(larger, -1, dtype=jnp.int32)
    following = jnp.min(jnp.where(larger, keys, jnp.uint32(0xFFFFFFFF)), -1)
    second = jnp.where(count > high, first, following)
    below, above = (
        _of_keys(lax.bitcast_convert_type(each ^ highest, jnp.int32)) for each in (first, second)
    )
    return below, above


def _place_of(extreme: Callable[..., Array], site: Site) -> Form | None:
    """Return the form that finds the first place at which the largest or smallest stands."""
    (axis,), x = site.params["axes"], site.operands[0]
    if x.shape[axis] < 2 or jnp.issubdtype(x.dtype, jnp.complexfloating):
        return None
    dtype = site.params["index_dtype"]

    def form(x: Array) -> Array:
        places = lax.broadcasted_iota(dtype, x.shape, axis)
        found = (x == extreme(x, axis=axis, keepdims=True)) | (x != x)
        return jnp.min(places, axis=axis, initial=x.shape[axis] - 1, where=found)

    return form


_FIRST = "the first of equal ones, and the first NaN if there is one, as plain"


@register_rewrite(
    "argmax-by-equality",
    primitive="argmax",
    title="place of the largest -> largest, first place equal to it",
    exactness="exact",
    special=_FIRST,
    source="definition; XLA carries value and place through one reduction, number by number",
)
def argmax_by_equality(site: Site) -> Form | None:
    """Two reductions, of vectors of numbers each."""
    return _place_of(jnp.max, site)


@register_rewrite(
    "argmin-by-equality",
    primitive="argmin",
    title="place of the smallest -> smallest, first place equal to it",
    exactness="exact",
    special=_FIRST,
    source="definition; XLA carries value and place through one reduction, number by number",
)
def argmin_by_equality(site: Site) -> Form | None:
    """Two reductions, of vectors of numbers each."""
    return _place_of(jnp.min, site)
