"""Resizing of images by the few elements that each new one lies between.

JAX multiplies every line with a matrix of weights, nearly all of which are zero. The weights here
are JAX's own (jax.image.scale_and_translate): a kernel around each new element's place, cut off at
the border, divided by its sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import Array

from edgegraph.rewrites.rule import Form, Site, derived_as, register_rewrite

MOST_TAPS = 8
"""Elements that a new one is made of, in one direction."""


def _triangle(x: Array) -> Array:
    return jnp.maximum(0.0, 1.0 - x)


def _cubic(x: Array) -> Array:
    """Return the kernel of Keys with a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return jnp.where(x >= 2.0, 0.0, jnp.where(x >= 1.0, far, near))


_KERNELS: dict[str, tuple[Callable[[Array], Array], int]] = {
    "linear": (_triangle, 1),
    "cubic": (_cubic, 2),
}
"""With how far each reaches."""


@register_rewrite(
    "resize-by-taps",
    primitive="jit",
    title="resize by matrices -> sums of neighbours",
    exactness="reassociating",
    special="NaN and infinities reach their neighbours; the plain form spreads them over lines",
    source="jax.image.scale_and_translate, without the weights that are zero",
)
def resize_by_taps(site: Site) -> Form | None:
    """Resize one dimension after the other, adding up what each new element lies between."""
    if site.params["name"] != "_resize" or len(site.operands) != 1:
        return None
    [old], [new] = site.operands, site.results
    known = _resizes(old.shape, new.shape) if old.dtype == jnp.float32 else {}
    if (found := known.get(str(site.params["jaxpr"]))) is None:
        return None
    method, antialias = found
    axes = [axis for axis in range(old.ndim) if old.shape[axis] != new.shape[axis]]
    taps = {axis: _taps(old.shape[axis] / new.shape[axis], method, antialias) for axis in axes}
    if not axes or max(taps.values()) > MOST_TAPS:
        return None

    def form(x: Array) -> tuple[Array]:
        for axis in axes:
            x = _resized(x, axis, new.shape[axis], method, antialias)
        return (x,)

    return derived_as(lambda x: tuple(site.plain(x)), form)


@cache
def _resizes(old: tuple[int, ...], new: tuple[int, ...]) -> dict[str, tuple[str, bool]]:
    """Return what jax.image.resize is traced to, with its method and whether it is smoothed."""
    x = jax.ShapeDtypeStruct(old, jnp.float32)

    def traced(method: str, antialias: bool) -> str:
        resize = partial(jax.image.resize, shape=new, method=method, antialias=antialias)
        [equation] = jax.make_jaxpr(resize)(x).eqns
        return str(equation.params["jaxpr"])

    if len(old) != len(new) or 0 in (*old, *new):
        return {}
    return {traced(*each): each for each in ((m, a) for m in _KERNELS for a in (True, False))}


def _taps(step: float, method: str, antialias: bool) -> int:
    return 2 * math.ceil(_KERNELS[method][1] * (max(step, 1.0) if antialias else 1.0))


def _resized(x: Array, axis: int, length: int, method: str, antialias: bool) -> Array:
    kernel, _ = _KERNELS[method]
    old = x.shape[axis]
    step = old / length
    wide = max(step, 1.0) if antialias else 1.0
    taps = _taps(step, method, antialias)
    place = (jnp.arange(length, dtype=x.dtype) + 0.5) * step - 0.5
    first = jnp.floor(place).astype(jnp.int32) - (taps // 2 - 1)
    shape = [1] * x.ndim
    shape[axis] = length
    reads = [first + tap for tap in range(taps)]
    weights = [
        jnp.where((at >= 0) & (at < old), kernel(jnp.abs(place - at) / wide), 0.0) for at in reads
    ]
    total = sum(weights)
    return jnp.asarray(
        sum(
            jnp.take(x, jnp.clip(at, 0, old - 1), axis) * (weight / total).reshape(shape)
            for at, weight in zip(reads, weights, strict=True)
        )
    )
