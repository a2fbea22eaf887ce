"""Rules for eigenvalue and singular value decompositions.

These iterate, so how much they compute depends on the numbers in the matrix. The counts are the
nominal ones of the literature, for which the iterations that usually happen are assumed:

- LUG: Anderson et al., "LAPACK Users' Guide", third edition (1999), chapter 3, LAPACK Benchmark,
  the standard operation counts of the drivers.
- GVL: Golub and Van Loan, "Matrix Computations", third edition (1996).

Jacobi methods, which a GPU prefers for small matrices, have no such count: unknown.
"""

from __future__ import annotations

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls import operation_counts as count
from edgegraph.cost.custom_calls.form import attribute, attributes, letter, matrix, operand, square
from edgegraph.cost.custom_calls.lapack import lapack, solver
from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError, built_in

_LARGEST_JACOBI = 32
"""JAX's GPU kernel for symmetric matrices takes Jacobi up to this size, unless told."""

_JACOBI = 2


@built_in(*lapack("syevd", types="sd"), *lapack("heevd", types="cz"))
def symmetric(call: CustomCall) -> Cost:
    """SYEVD: reduction to tridiagonal form, and with eigenvectors the product with its Q.

    4n^3/3 + ... for eigenvalues alone (LUG 1.33 n^3), 2n^3 more for the vectors (ORMTR applies n
    reflectors to n vectors). What divide and conquer itself takes depends on how much it can
    deflate, at most 4n^3/3 (GVL 8.5.4), and is left out.
    """
    return _symmetric(call, vectors=letter(call, "mode") == "V")


@built_in(*solver("syevd"))
def gpu_symmetric(call: CustomCall) -> Cost | None:
    """SYEVD of a GPU: as LAPACK's; unknown where Jacobi rotations are used."""
    algorithm = attribute(call, "algorithm")
    _, n, _ = square(operand(call, 0))
    if algorithm == _JACOBI or (algorithm == 0 and n <= _LARGEST_JACOBI):
        return None
    return _symmetric(call, vectors=True)


def _symmetric(call: CustomCall, *, vectors: bool) -> Cost:
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * (count.to_tridiagonal(n) + (2 * n**3 if vectors else 0)))


@built_in(*lapack("geev"))
def general(call: CustomCall) -> Cost:
    """GEEV: 10n^3 for eigenvalues alone, 26 1/3 n^3 with right eigenvectors (LUG).

    With left ones too, the 25n^3 of the Schur form (GVL 7.5.6) carry over, and the 4n^3/3 of
    turning it into eigenvectors come twice.
    """
    sides = (letter(call, "compute_left") == "V") + (letter(call, "compute_right") == "V")
    return _general(call, sides)


@built_in(*solver("geev"))
def gpu_general(call: CustomCall) -> Cost:
    """GEEV of a GPU: the same count."""
    return _general(call, attribute(call, "left") + attribute(call, "right"))


def _general(call: CustomCall, sides: int) -> Cost:
    batch, n, _ = square(operand(call, 0))
    flops = (75 + 4 * sides) * n**3 // 3 if sides else 10 * n**3
    return call.cost(flops=batch * flops)


@built_in(*lapack("gees"))
def schur(call: CustomCall) -> Cost | None:
    """GEES: 25n^3 for the Schur form and its vectors (GVL 7.5.6); unknown without vectors."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * 25 * n**3) if letter(call, "mode") == "V" else None


@built_in(*lapack("gesdd"))
def singular_values(call: CustomCall) -> Cost:
    """GESDD, by divide and conquer: what its steps of fixed length take.

    Of m x n with m >= n, bidiagonalisation (4mn^2 - 4n^3/3) and, with vectors, the products with
    both of its orthogonal factors; where m >= 11n/6, a QR factorization comes first and the rest
    is of n x n, as in LAPACK's ``dgesdd.f``. For square matrices that is LUG's 2.67 n^3 and
    6.67 n^3. Divide and conquer of the bidiagonal matrix itself is left out: how much it can
    deflate depends on the matrix.
    """
    mode = letter(call, "mode")
    return _divide_and_conquer(call, vectors=mode != "N", full=mode == "A")


@built_in(*solver("gesdd"))
def gpu_singular_values(call: CustomCall) -> Cost:
    """GESDD of a GPU: the same count."""
    full = bool(attribute(call, "full_matrices"))
    return _divide_and_conquer(call, vectors=bool(attribute(call, "compute_uv")), full=full)


def _divide_and_conquer(call: CustomCall, *, vectors: bool, full: bool) -> Cost:
    batch, m, n = matrix(operand(call, 0))
    m, n = max(m, n), min(m, n)
    columns = m if full else n
    flops = 0
    if 6 * m >= 11 * n and m > n:
        flops += count.qr(m, n)
        if vectors:
            flops += count.generate_q(m, columns, n) + 2 * m * n * n
        m = columns = n
    flops += count.to_bidiagonal(m, n)
    if vectors:
        flops += count.multiply_by_q(m, columns, n, left=True)
        flops += count.multiply_by_q(n, n, n, left=False)
    return _vectors_on_demand(call, batch * flops, vectors=vectors)


@built_in(*lapack("gesvd"))
def singular_values_by_qr(call: CustomCall) -> Cost:
    """GESVD, by QR iterations: the Golub-Reinsch algorithm (GVL 5.4.5).

    Of m x n with m >= n: 4mn^2 - 4n^3/3 for the values, 14mn^2 + 8n^3 with the thin U and V,
    4m^2n + 8mn^2 + 9n^3 with all of U.
    """
    mode = letter(call, "mode")
    return _golub_reinsch(call, vectors=mode != "N", full=mode == "A")


@built_in(*solver("gesvd"))
def gpu_singular_values_by_qr(call: CustomCall) -> Cost:
    """GESVD of a GPU: the same count."""
    full = bool(attributes(call).get("full_matrices"))
    return _golub_reinsch(call, vectors=bool(attribute(call, "compute_uv")), full=full)


def _golub_reinsch(call: CustomCall, *, vectors: bool, full: bool) -> Cost:
    batch, m, n = matrix(operand(call, 0))
    m, n = max(m, n), min(m, n)
    if not vectors:
        flops = (12 * m * n**2 - 4 * n**3) // 3
    elif full:
        flops = 4 * m**2 * n + 8 * m * n**2 + 9 * n**3
    else:
        flops = 14 * m * n**2 + 8 * n**3
    return _vectors_on_demand(call, batch * flops, vectors=vectors)


def _vectors_on_demand(call: CustomCall, flops: int, *, vectors: bool) -> Cost:
    """Leave out the memory of U and V where the call has it but does not fill it."""
    results = call.results
    if len(results) != 5:
        raise UnknownFormError(f"{call.target} has {len(results)} results, not A, S, U, V, info")
    written = sum(shape.bytes for shape in (results if vectors else (*results[:2], results[4])))
    return call.cost(flops=flops, bytes_written=written)


@built_in(*solver("gesvdj", "gesvdp"))
def iterative_singular_values(call: CustomCall) -> None:
    """GESVDJ rotates until it has converged, GESVDP iterates a polar decomposition: unknown."""
