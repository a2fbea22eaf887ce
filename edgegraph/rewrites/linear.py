"""Inverses and equations of many 2x2 matrices, written out.

XLA's CPU backend calls LAPACK for every matrix. For two unknowns Cramer's rule is as near as
elimination with pivoting (forward stable: N. J. Higham, Accuracy and Stability of Numerical
Algorithms, section 1.10.1): its error grows with the matrix's condition, as that of the plain form
does. For three it grows with the square of the condition, so there is no such form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, register_rewrite

FEWEST = 16
"""Matrices; fewer take no time."""

_SPECIAL = (
    "a matrix that is singular or has NaN or infinities gives infinities or NaN, as plain, and not"
    " always the same ones"
)
_SOURCE = "Cramer's rule, of the matrix divided by its largest number"


def _cofactors(a: Array) -> tuple[tuple[Array, ...], Array]:
    """Return the numbers of matrices over their determinants, so scaled that none overflows.

    That is a, b, c and d of [[a, b], [c, d]], each over ad - bc.
    """
    scale = lax.stop_gradient(jnp.max(jnp.abs(a), (-2, -1)))
    # Of a matrix of zeros the determinant is zero; it must not be divided by.
    scale = jnp.where(scale > 0, scale, 1)
    numbers = tuple(a[..., i, j] / scale for i in (0, 1) for j in (0, 1))
    determinant = (numbers[0] * numbers[3] - numbers[1] * numbers[2]) * scale
    return numbers, determinant


@register_rewrite(
    "inverse-of-2x2",
    primitive="jit",
    title="inverses of 2x2 -> Cramer's rule",
    exactness="reassociating",
    special=_SPECIAL,
    source=_SOURCE,
)
def inverse_of_2x2(site: Site) -> Form | None:
    """Swap, negate, and divide by the determinant."""
    if len(site.operands) != 1 or not _is_of("inv", site):
        return None

    def form(x: Array) -> tuple[Array]:
        (a, b, c, d), determinant = _cofactors(x)
        rows = jnp.stack([d, -b, -c, a], -1) / determinant[..., None]
        return (rows.reshape(x.shape),)

    return form


@register_rewrite(
    "solution-of-2x2",
    primitive="jit",
    title="equations of 2x2 -> Cramer's rule",
    exactness="reassociating",
    special=_SPECIAL,
    source=_SOURCE,
)
def solution_of_2x2(site: Site) -> Form | None:
    """Take the determinants with a column replaced, and divide."""
    if len(site.operands) != 2 or not _is_of("solve", site):
        return None
    left, right = (each.shape for each in site.operands)
    if right[:-1] != left[:-1]:
        return None

    def form(x: Array, y: Array) -> tuple[Array]:
        numbers, determinant = _cofactors(x)
        a, b, c, d = (each[..., None] for each in numbers)
        first, second = y[..., 0, :], y[..., 1, :]
        rows = (d * first - b * second, a * second - c * first)
        return (jnp.stack(rows, -2) / determinant[..., None, None],)

    return form


_FUNCTIONS: dict[str, Callable[..., Any]] = {"inv": jnp.linalg.inv, "solve": jnp.linalg.solve}


def _is_of(name: str, site: Site) -> bool:
    """Return whether a site is a function of jax.numpy.linalg, of 2x2 matrices in float32."""
    if site.params["name"] != name or {each.dtype for each in site.operands} != {
        jnp.dtype(jnp.float32)
    }:
        return False
    shapes = tuple(each.shape for each in site.operands)
    matrix = shapes[0]
    if matrix[-2:] != (2, 2) or site.operands[0].size < 4 * FEWEST:
        return False
    return _traced(name, shapes) == str(site.params["jaxpr"])


@cache
def _traced(name: str, shapes: tuple[tuple[int, ...], ...]) -> str:
    structs = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    equations = jax.make_jaxpr(_FUNCTIONS[name])(*structs).eqns
    return str(equations[0].params["jaxpr"]) if len(equations) == 1 else ""
