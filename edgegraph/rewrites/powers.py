"""Powers, roots and arcs, which XLA's CPU backend computes by a library, one element at a time."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, derived_as, register_rewrite

HIGHEST_POWER = 32
"""Exponent, up to which products are shorter than a logarithm."""


def _exponent(site: Site) -> float | None:
    """Return the exponent of a power of real numbers, where it is a literal."""
    if len(site.literals) != 2 or site.literals[1] is None:
        return None
    return float(site.literals[1]) if _real(site) else None


def _real(site: Site) -> bool:
    return bool(jnp.issubdtype(site.operands[0].dtype, jnp.floating))


def _in_f32(x: Array) -> Array:
    return x.astype(jnp.float32) if x.dtype in (jnp.bfloat16, jnp.float16) else x


def _raised(site: Site, power: float, form: Form) -> Form:
    """Return a form of a power with the derivative of the plain one, for the base alone."""

    def plain(x: Array) -> Array:
        found: Array = site.plain(x, jnp.asarray(power, site.operands[1].dtype))
        return found

    inner = derived_as(plain, lambda x: form(_in_f32(x)).astype(x.dtype))
    return lambda x, exponent: inner(x)


@register_rewrite(
    "power-as-products",
    primitive="pow",
    title="power of a half or whole number -> products, a root",
    exactness="reassociating",
    special="NaN, infinities and zeros as plain, but (-inf) ** 1.5 is NaN; a power so small that"
    " its inverse overflows is 0",
    source="binary exponentiation, jax.lax.integer_pow",
)
def power_as_products(site: Site) -> Form | None:
    """Multiply the base by itself; a half in the exponent is its square root."""
    power = _exponent(site)
    if power is None or not 0 < abs(power) <= HIGHEST_POWER or (2 * power) % 1:
        return None
    whole, half = divmod(abs(power), 1)

    def form(x: Array) -> Array:
        found = lax.integer_pow(x, int(whole)) if whole else None
        if half:
            root = lax.sqrt(x)
            # No power with a half is negative, not even that of -0.
            found = lax.abs(root if found is None else found * root)
        assert found is not None
        return 1 / found if power < 0 else found

    return _raised(site, power, form)


@register_rewrite(
    "power-as-exponential",
    primitive="pow",
    title="power -> exponential of a logarithm",
    exactness="lower precision",
    special="NaN, positive infinity and zeros as plain; of -inf it is NaN",
    source="x ** y = exp(y log x); relative error of up to |y log x| units in the last place",
    needs="fast-math",
)
def power_as_exponential(site: Site) -> Form | None:
    """Multiply the logarithm; a negative base gives NaN, as with any fractional exponent."""
    power = _exponent(site)
    if power is None or not power % 1:
        return None
    return _raised(site, power, lambda x: lax.exp(power * lax.log(x)))


@register_rewrite(
    "cube-root-as-exponential",
    primitive="cbrt",
    title="cube root -> exponential of a logarithm, one Newton step",
    exactness="reassociating",
    special="NaN, infinities and zeros as plain; within 2 units in the last place",
    source="y - (y - x / y ** 2) / 3, Newton's step for y ** 3 = x",
)
def cube_root_as_exponential(site: Site) -> Form | None:
    """Estimate by a logarithm, and refine the estimate once."""
    if not _real(site):
        return None

    def form(x: Array) -> Array:
        wide = _in_f32(x)
        size = lax.abs(wide)
        estimate = lax.exp(lax.log(size) / 3)
        root = estimate - (estimate - size / (estimate * estimate)) / 3
        found = jnp.where((wide == 0) | ~jnp.isfinite(wide), wide, jnp.sign(wide) * root)
        return found.astype(x.dtype)

    return derived_as(site.plain, form)


@register_rewrite(
    "tangent-as-quotient",
    primitive="tan",
    title="tangent -> sine by cosine",
    exactness="reassociating",
    special="NaN, infinities and zeros as plain; within 4 units in the last place",
    source="definition",
)
def tangent_as_quotient(site: Site) -> Form | None:
    """Divide the sine by the cosine."""
    if not _real(site):
        return None
    return lambda x: (lax.sin(_in_f32(x)) / lax.cos(_in_f32(x))).astype(x.dtype)


def _opposite(x: Array) -> Array:
    """Return the other side of a right triangle with hypotenuse 1."""
    return lax.sqrt((1 - x) * (1 + x))


@register_rewrite(
    "arcsine-as-arctangent",
    primitive="asin",
    title="arcsine -> arctangent of one number",
    exactness="reassociating",
    special="NaN, zeros and what lies beyond 1 as plain; within 4 units in the last place",
    source="asin x = 2 atan(x / (1 + sqrt(1 - x ** 2))), of which XLA takes atan2",
)
def arcsine_as_arctangent(site: Site) -> Form | None:
    """Divide before the arctangent: the divisor is at least 1."""
    if not _real(site):
        return None

    def form(x: Array) -> Array:
        wide = _in_f32(x)
        return (2 * lax.atan(wide / (1 + _opposite(wide)))).astype(x.dtype)

    return derived_as(site.plain, form)


@register_rewrite(
    "arccosine-as-arctangent",
    primitive="acos",
    title="arccosine -> arctangent of one number",
    exactness="reassociating",
    special="NaN, zeros and what lies beyond 1 as plain; within 4 units in the last place",
    source="acos x = 2 atan(sqrt(1 - x ** 2) / (1 + x)), of which XLA takes atan2",
)
def arccosine_as_arctangent(site: Site) -> Form | None:
    """Divide before the arctangent; at -1, where nothing can be divided, it is pi."""
    if not _real(site):
        return None

    def form(x: Array) -> Array:
        wide = _in_f32(x)
        found = 2 * lax.atan(_opposite(wide) / (1 + wide))
        return jnp.where(wide == -1, jnp.pi, found).astype(x.dtype)

    return derived_as(site.plain, form)
