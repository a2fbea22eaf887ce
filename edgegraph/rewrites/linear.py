"""Inverses and equations of many small matrices, written out.

XLA's CPU backend calls LAPACK for every matrix. Substitution, and Cholesky's factors of a few rows,
are what LAPACK computes too, here for all matrices at once.

For two unknowns Cramer's rule is as near as elimination with pivoting (forward stable: N. J.
Higham, Accuracy and Stability of Numerical Algorithms, section 1.10.1): its error grows with the
matrix's condition, as that of the plain form does. For three it grows with the square of the
condition, so there is no such form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from edgegraph.rewrites.rule import Form, Site, derived_as, register_rewrite

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


MOST_ROWS = 8
"""Rows of a triangle that is solved number by number; a longer program compiles for long."""

MOST_FACTORED = 4
"""Rows of a matrix whose factor is written out."""


@register_rewrite(
    "triangle-by-substitution",
    primitive="triangular_solve",
    title="triangular equations of a few unknowns -> substitution, written out",
    exactness="reassociating",
    special="a zero on the diagonal gives infinities or NaN, as plain; NaN propagates",
    source="forward and back substitution, as LAPACK's TRTRS does it",
)
def triangle_by_substitution(site: Site) -> Form | None:
    """Solve for one unknown after the other, of all matrices at once."""
    a, b = site.operands
    rows, params = a.shape[-1], site.params
    if a.dtype != jnp.float32 or not params["left_side"] or rows > MOST_ROWS:
        return None
    if a.size < FEWEST * rows * rows or b.shape[-1] > rows:
        return None

    def form(a: Array, b: Array) -> Array:
        a = jnp.swapaxes(a, -1, -2) if params["transpose_a"] else a
        found: dict[int, Array] = {}
        forward = params["lower"] != params["transpose_a"]
        for row in range(rows) if forward else reversed(range(rows)):
            rest = b[..., row, :]
            for known, value in found.items():
                rest = rest - a[..., row, known, None] * value
            found[row] = rest if params["unit_diagonal"] else rest / a[..., row, row, None]
        return jnp.stack([found[row] for row in range(rows)], -2)

    return derived_as(site.plain, form)


@register_rewrite(
    "cholesky-written-out",
    primitive="cholesky",
    title="Cholesky factors of a few rows -> written out",
    exactness="reassociating",
    special="a matrix that is not positive definite gives NaN, as plain",
    source="the Cholesky-Banachiewicz algorithm, which is backward stable in any order of its sums",
)
def cholesky_written_out(site: Site) -> Form | None:
    """Compute column after column, of all matrices at once."""
    a = site.operands[0]
    rows = a.shape[-1]
    if a.dtype != jnp.float32 or rows > MOST_FACTORED or a.size < FEWEST * rows * rows:
        return None

    def form(a: Array) -> Array:
        zero = jnp.zeros_like(a[..., 0, 0])
        factor = [[zero] * rows for _ in range(rows)]
        definite = zero == 0
        for column in range(rows):
            for row in range(column, rows):
                rest = a[..., row, column]
                for before in range(column):
                    rest = rest - factor[row][before] * factor[column][before]
                if row == column:
                    definite &= ~(rest <= 0)
                    rest = lax.sqrt(rest)
                else:
                    rest = rest / factor[column][column]
                factor[row][column] = rest
        found = jnp.stack([jnp.stack(row, -1) for row in factor], -2)
        lower = jnp.tril(jnp.ones((rows, rows), bool))
        # LAPACK leaves the other triangle as it is; the functions of JAX cut it off.
        return jnp.where(definite[..., None, None], jnp.where(lower, found, a), jnp.nan)

    return derived_as(site.plain, form)


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
