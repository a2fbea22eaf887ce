"""Convolutions as products, sums and slices.

XLA's CPU backend has a library for convolutions of many channels into many; those with a group for
each channel, and the gradients of these, run as loops over single elements. The forms here are the
definition of a convolution written out:

    out[n, y, o] = sum over taps t and channels c of x[n, y * stride + t * dilation, c] * w[t, c, o]

as a sum over taps of whole arrays, or of matrix products. Sums are taken in float32 where the
operands are narrower, as the plain form does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import add
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Maker, Site, register_rewrite

MOST_TAPS = 128
"""More of them make a program longer than it gets quicker."""

MOST_POSITIONS = 64
"""Positions of a weight's gradient, each one product of its own."""

MOST_GROUPS = 32
"""Groups of channels, each a convolution of its own."""

_PROPAGATES = (
    "NaN and infinities propagate; a padded zero times an infinite weight is NaN, as plain"
)
_DEFINITION = "definition of the convolution, a sum over taps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """A convolution of a site, with its dimensions named.

    Attributes:
        batch, feature, spatial: Dimensions of the input.
        taken, made, taps: Dimensions of the kernel: channels in, channels out, spatial.
        to_result: Permutation from (batch, spatial in the input's order, feature) to the result.
        sizes: Extent of the kernel, by spatial dimension.
        extent: Extent of the result, by spatial dimension.
    """

    site: Site
    batch: int
    feature: int
    spatial: tuple[int, ...]
    taken: int
    made: int
    taps: tuple[int, ...]
    result: tuple[int, ...]
    sizes: tuple[int, ...]
    extent: tuple[int, ...]

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return int(self.site.params["feature_group_count"])

    @property
    def batch_groups(self) -> int:
        """Groups of the batch, as gradients of grouped weights have them."""
        return int(self.site.params["batch_group_count"])

    @property
    def strides(self) -> Sequence[int]:
        """Step of the window."""
        return self.site.params["window_strides"]  # type: ignore[no-any-return]

    @property
    def dilation(self) -> Sequence[int]:
        """Distance of the kernel's taps."""
        return self.site.params["rhs_dilation"]  # type: ignore[no-any-return]

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return int(self.site.operands[0].shape[self.feature])

    @property
    def kernel_in(self) -> int:
        """Channels that each result channel reads."""
        return int(self.site.operands[1].shape[self.taken])

    @property
    def kernel_out(self) -> int:
        """Channels of the result."""
        return int(self.site.operands[1].shape[self.made])

    @property
    def padded_only(self) -> bool:
        """Whether the input is not dilated."""
        return all(each == 1 for each in self.site.params["lhs_dilation"])

    @property
    def indices(self) -> list[tuple[int, ...]]:
        """All taps of the kernel."""
        return list(np.ndindex(*self.sizes))

    def wide(self, *arrays: Array) -> tuple[Array, ...]:
        """Return arrays in the dtype that sums are taken in."""
        if self.site.results[0].dtype in (jnp.bfloat16, jnp.float16):
            return tuple(array.astype(jnp.float32) for array in arrays)
        return arrays

    def padded(self, x: Array) -> Array:
        """Return the input with its padding and dilation written out."""
        config = [(0, 0, 0)] * x.ndim
        window = zip(
            self.spatial, self.site.params["padding"], self.site.params["lhs_dilation"], strict=True
        )
        for dimension, (low, high), dilation in window:
            config[dimension] = (low, high, dilation - 1)
        return lax.pad(x, jnp.zeros((), x.dtype), config) if any(map(any, config)) else x

    def seen(self, padded: Array, tap: Sequence[int]) -> Array:
        """Return what one tap reads, for every position of the result."""
        return self._slice(padded, tap, self.dilation, self.extent, self.strides)

    def around(self, padded: Array, position: Sequence[int]) -> Array:
        """Return what one position of the result reads, for every tap."""
        return self._slice(padded, position, self.strides, self.sizes, self.dilation)

    def _slice(
        self,
        padded: Array,
        index: Sequence[int],
        scale: Sequence[int],
        extent: Sequence[int],
        step: Sequence[int],
    ) -> Array:
        start, limit, strides = [0] * padded.ndim, list(padded.shape), [1] * padded.ndim
        for dimension, i, factor, n, stride in zip(
            self.spatial, index, scale, extent, step, strict=True
        ):
            start[dimension] = i * factor
            limit[dimension] = i * factor + (n - 1) * stride + 1
            strides[dimension] = stride
        return lax.slice(padded, start, limit, strides)

    def finished(self, found: Array, order: Sequence[int]) -> Array:
        """Return a result whose dimensions are in the order (batch, feature, *spatial) of `order`.

        Args:
            found: The numbers.
            order: Which dimension of `found` is batch, feature, and each spatial one.
        """
        permutation = [0] * found.ndim
        for source, target in zip(order, self.result, strict=True):
            permutation[target] = source
        turned = lax.transpose(found, permutation)
        return turned.astype(self.site.results[0].dtype)


def convolution_of(site: Site) -> Convolution:
    """Name the dimensions of a site of ``conv_general_dilated``."""
    numbers = site.params["dimension_numbers"]
    (batch, feature, *spatial), (made, taken, *taps) = numbers.lhs_spec, numbers.rhs_spec
    result = tuple(numbers.out_spec)
    return Convolution(
        site=site,
        batch=batch,
        feature=feature,
        spatial=tuple(spatial),
        taken=taken,
        made=made,
        taps=tuple(taps),
        result=result,
        sizes=tuple(site.operands[1].shape[each] for each in taps),
        extent=tuple(site.results[0].shape[each] for each in result[2:]),
    )


def matched(site: Site) -> Convolution | None:
    """Return a convolution of real floating-point numbers that is not empty."""
    floats = all(jnp.issubdtype(each.dtype, jnp.floating) for each in site.operands)
    if not floats or 0 in (
        *site.operands[0].shape,
        *site.operands[1].shape,
        *site.results[0].shape,
    ):
        return None
    return convolution_of(site)


def register(
    name: str, title: str, special: str = _PROPAGATES, source: str = _DEFINITION
) -> Callable[[Maker], Maker]:
    """Return what registers a form of a convolution."""
    return register_rewrite(
        name,
        primitive="conv_general_dilated",
        title=title,
        exactness="reassociating",
        special=special,
        source=source,
    )


@register("depthwise-as-shifts", "depthwise conv -> shifted products")
def depthwise_as_shifts(site: Site) -> Form | None:
    """Multiply the shifted input by each tap, and add up; also for the gradient of the input.

    The gradient of a multiplier has several channels in for one out: they are added up, too.
    """
    c = matched(site)
    if c is None or c.batch_groups != 1 or c.groups == 1:
        return None
    if c.groups not in (c.channels, c.kernel_out) or math.prod(c.sizes) * c.kernel_in > MOST_TAPS:
        return None

    def form(x: Array, w: Array) -> Array:
        x, w = c.wide(c.padded(x), w)
        by_tap = lax.transpose(w, (*c.taps, c.taken, c.made))
        shape = [1] * x.ndim
        shape[c.feature] = c.kernel_out

        def products(channel: int) -> Iterator[Array]:
            every = lax.slice_in_dim(x, channel, None, c.kernel_in, c.feature)
            every = jnp.repeat(every, c.kernel_out // c.groups, c.feature)
            for tap in c.indices:
                yield c.seen(every, tap) * by_tap[(*tap, channel)].reshape(shape)

        found = reduce(add, chain.from_iterable(map(products, range(c.kernel_in))))
        return c.finished(found, (c.batch, c.feature, *c.spatial))

    return form


@register("depthwise-weights-as-sums", "gradient of depthwise weights -> sums of products")
def depthwise_weights_as_sums(site: Site) -> Form | None:
    """Multiply the output's gradient by the shifted input, and add up by a product with ones."""
    c = matched(site)
    if c is None or c.groups != 1 or c.batch_groups == 1 or math.prod(c.extent) > MOST_POSITIONS:
        return None
    # The channels are the batch here; each goes with its own channels of the gradient.
    if c.batch_groups != site.operands[0].shape[c.batch]:
        return None
    over = tuple(d for d in range(len(c.spatial) + 2) if d != c.batch)

    def form(x: Array, g: Array) -> Array:
        x, g = c.wide(c.padded(x), g)
        x = jnp.repeat(x, c.kernel_out // c.batch_groups, c.batch)
        order = [0] * g.ndim
        for source, target in zip(
            (c.made, c.taken, *c.taps), (c.batch, c.feature, *c.spatial), strict=True
        ):
            order[target] = source
        g = lax.transpose(g, order)

        def at(position: tuple[int, ...]) -> Array:
            products = lax.transpose(c.around(x, position) * g, (*over, c.batch))
            rows = products.reshape(-1, c.kernel_out)
            ones = jnp.ones((1, rows.shape[0]), rows.dtype)
            return lax.dot_general(
                ones, rows, (((1,), (0,)), ((), ())), precision=lax.Precision.HIGHEST
            )[0]

        found = jnp.stack([at(position) for position in np.ndindex(*c.extent)])
        spatial = len(c.extent)
        return c.finished(
            found.reshape(1, *c.extent, c.kernel_out), (0, spatial + 1, *range(1, spatial + 1))
        )

    return form


@register("pointwise-as-dot", "1x1 conv -> dot")
def pointwise_as_dot(site: Site) -> Form | None:
    """Multiply the channels as a matrix; a stride only leaves out rows."""
    c = matched(site)
    if c is None or c.groups != 1 or c.batch_groups != 1 or math.prod(c.sizes) != 1:
        return None
    return sum_of_dots(c) if c.padded_only else None


@register("taps-as-dots", "conv -> sum of dots")
def taps_as_dots(site: Site) -> Form | None:
    """Multiply what each tap reads as a matrix, and add up."""
    c = matched(site)
    if c is None or c.groups != 1 or c.batch_groups != 1 or not c.padded_only:
        return None
    return sum_of_dots(c) if 1 < math.prod(c.sizes) <= 49 and c.channels >= 16 else None


def sum_of_dots(c: Convolution, sums: Any = None) -> Form:
    """Return a sum of products, added up in the dtype `sums`, by default that of the result."""

    def form(x: Array, w: Array) -> Array:
        x = c.padded(x)
        by_tap = lax.transpose(w, (*c.taps, c.taken, c.made))
        products = (
            lax.dot_general(
                c.seen(x, tap),
                by_tap[tap],
                (((c.feature,), (0,)), ((), ())),
                precision=c.site.params["precision"],
                preferred_element_type=sums or sums_of(c),
            )
            for tap in c.indices
        )
        return c.finished(reduce(add, products), _after_dot(c))

    return form


def sums_of(c: Convolution) -> Any:
    """Return the dtype that sums are taken in."""
    dtype = c.site.results[0].dtype
    return jnp.float32 if dtype in (jnp.bfloat16, jnp.float16) else dtype


def _after_dot(c: Convolution) -> tuple[int, ...]:
    """Return where batch, feature and space stand once the feature dimension is contracted."""
    left = [d for d in range(len(c.spatial) + 2) if d != c.feature]
    return left.index(c.batch), len(left), *(left.index(d) for d in c.spatial)


@register("weights-as-dots", "gradient of conv weights -> dots")
def weights_as_dots(site: Site) -> Form | None:
    """Multiply the input by the output's gradient as matrices, for each position of a weight."""
    c = matched(site)
    if c is None or c.groups != 1 or c.batch_groups != 1 or not c.padded_only:
        return None
    positions = math.prod(c.extent)
    if positions > MOST_POSITIONS or positions >= math.prod(c.sizes):
        return None

    def form(x: Array, g: Array) -> Array:
        x = c.padded(x)
        contracted = ((c.feature, *c.spatial), (c.taken, *c.taps)), ((), ())
        found = jnp.stack(
            [
                lax.dot_general(
                    c.around(x, position),
                    g,
                    contracted,
                    precision=c.site.params["precision"],
                    preferred_element_type=sums_of(c),
                )
                for position in np.ndindex(*c.extent)
            ]
        )
        spatial = len(c.extent)
        return c.finished(
            found.reshape(*c.extent, *found.shape[1:]), (spatial, spatial + 1, *range(spatial))
        )

    return form


@register("groups-as-convs", "grouped conv -> one conv a group")
def groups_as_convs(site: Site) -> Form | None:
    """Convolve every group of channels separately."""
    c = matched(site)
    if (
        c is None
        or not 1 < c.groups <= MOST_GROUPS
        or c.groups == c.channels
        or c.batch_groups != 1
    ):
        return None

    def form(x: Array, w: Array) -> Array:
        pairs = zip(jnp.split(x, c.groups, c.feature), jnp.split(w, c.groups, c.made), strict=True)
        params = dict(site.params) | {"feature_group_count": 1}
        parts = [site.primitive.bind(*pair, **params) for pair in pairs]
        return jnp.concatenate(parts, c.result[1])

    return form
