"""Remainders of floats without the C library, which XLA's CPU backend calls for every number."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, derived_as, register_rewrite

_FIRST_HALF = -(1 << 12)
"""Mask of the bits of a float32 that leaves 12 of its significand."""

_MOST = 4096.0
"""Quotient, below which its products with either half of a divisor are exact."""

_SMALLEST, _LARGEST = 2.0**-100, 2.0**100
"""Divisors, between which no product, nor its last bit, leaves the range of float32."""


@register_rewrite(
    "remainder-as-product",
    primitive="rem",
    title="remainder -> the quotient's product taken away",
    exactness="exact",
    special="as plain: with NaN, infinities, divisors beyond 2^±100 or quotients from 4096 on among"
    " the numbers, all are computed as plain",
    source="x - n y in two exact steps: W. J. Cody, W. Waite, Software Manual for the Elementary"
    " Functions, 1980",
)
def remainder_as_product(site: Site) -> Form | None:
    """Take n y away in two halves, n the quotient rounded down; it is off by one at most."""
    if {each.dtype for each in site.operands} != {jnp.dtype(jnp.float32)}:
        return None

    def near(x: Array, y: Array) -> Array:
        number, divisor = lax.abs(x), jnp.broadcast_to(lax.abs(y), x.shape)
        bits = lax.bitcast_convert_type(divisor, jnp.int32) & _FIRST_HALF
        first = lax.bitcast_convert_type(bits, jnp.float32)
        quotient = lax.floor(number / divisor)
        rest = (number - quotient * first) - quotient * (divisor - first)
        rest = jnp.where(rest < 0, rest + divisor, rest)
        rest = jnp.where(rest >= divisor, rest - divisor, rest)
        return jnp.copysign(jnp.where(number < divisor, number, rest), x)

    def form(x: Array, y: Array) -> Array:
        size = lax.abs(y)
        inside = (size >= _SMALLEST) & (size <= _LARGEST) & (lax.abs(x) < _MOST * size)
        found: Array = lax.cond(jnp.all(inside), near, lambda x, y: site.plain(x, y), x, y)
        return found

    return derived_as(site.plain, form)
