"""Rules for LAPACK and BLAS calls of the CPU backend, and their like on GPUs and TPUs.

JAX calls LAPACK through XLA's typed foreign function interface; matrices of a batch stand in
the leading dimensions. MACs are 0: they are counted of matrix products and convolutions only.

What the computational routines take are exact polynomials, under the routines' names. Source:
Blackford and Dongarra, "Installation Guide for LAPACK", LAPACK Working Note 41 (1999), appendix C;
additions and multiplications together, a division or square root counting as a multiplication. All
quotients are whole. Constant terms that would leave the count of a tiny matrix negative are cut off
at 0.

The drivers iterate, so how much they compute depends on the numbers in the matrix. Their counts are
the nominal ones of the literature, for which the iterations that usually happen are assumed:

- LUG: Anderson et al., "LAPACK Users' Guide", third edition (1999), chapter 3, LAPACK Benchmark,
  the standard operation counts of the drivers.
- GVL: Golub and Van Loan, "Matrix Computations", third edition (1996).

Those of complex numbers are 4 times as many: half of the counts are products, of 6 real operations,
and half sums, of 2 (LAPACK Working Note 41).

Jacobi methods, which a GPU prefers for small matrices, have no such count: unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from msgspec.structs import replace

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls.registry import (
    CustomCall,
    Rule,
    UnknownFormError,
    attribute,
    attributes,
    built_in,
    bytes_without_workspace,
    configuration,
    letter,
    matrix,
    operand,
    result,
    square,
)
from edgegraph.cost.operations import PER_MULTIPLY_ADD, is_complex


def potrf(n: int) -> int:
    """n^3/3 + n^2/2 + n/6."""
    return (2 * n**3 + 3 * n**2 + n) // 6


def getrf(m: int, n: int) -> int:
    """M n^2 - n^3/3 - n^2/2 + 5n/6 for m >= n; the same with m and n exchanged else."""
    m, n = max(m, n), min(m, n)
    return (6 * m * n**2 - 2 * n**3 - 3 * n**2 + 5 * n) // 6


def geqrf(m: int, n: int) -> int:
    """2 m n^2 - 2n^3/3 + m n + n^2 + 14n/3 for m >= n, else with m and n exchanged."""
    if m >= n:
        return 2 * m * n**2 + m * n + n**2 + (14 * n - 2 * n**3) // 3
    return 2 * n * m**2 + 3 * m * n - m**2 + (14 * m - 2 * m**3) // 3


def orgqr(m: int, n: int, k: int) -> int:
    """4mnk - 2(m + n)k^2 + 4k^3/3 + 3nk - mk - k^2 - 4k/3, of k reflectors."""
    squares = 4 * m * n * k - 2 * (m + n) * k**2 + 3 * n * k - m * k - k**2
    return max(0, squares + 4 * (k**3 - k) // 3)


def ormqr(m: int, n: int, k: int, *, left: bool) -> int:
    """Apply k reflectors to an m x n matrix from the left or the right.

    From the left 4mnk - 2nk^2 + 3nk, from the right 4mnk - 2mk^2 + 2mk + nk - k^2/2 + k/2.
    """
    if left:
        return max(0, 4 * m * n * k - 2 * n * k**2 + 3 * n * k)
    return max(0, 4 * m * n * k - 2 * m * k**2 + 2 * m * k + n * k + (k - k**2) // 2)


def trsm(n: int, right_sides: int, *, unit_diagonal: bool) -> int:
    """n^2 operations for each right-hand side, n fewer if nothing is divided."""
    return right_sides * (n**2 - n if unit_diagonal else n**2)


def trtri(n: int) -> int:
    """n^3/3 + 2n/3."""
    return (n**3 + 2 * n) // 3


def gehrd(n: int) -> int:
    """10n^3/3 - n^2/2 - 11n/6 - 21."""
    return max(0, (20 * n**3 - 3 * n**2 - 11 * n) // 6 - 21)


def sytrd(n: int) -> int:
    """4n^3/3 + 7n^2/2 - 17n/6 - 19."""
    return max(0, (8 * n**3 + 21 * n**2 - 17 * n) // 6 - 19)


def gebrd(m: int, n: int) -> int:
    """4mn^2 - 4n^3/3 + 3n^2 - mn + 25n/3 for m >= n, else with m and n exchanged."""
    m, n = max(m, n), min(m, n)
    return 4 * m * n**2 + 3 * n**2 - m * n + (25 * n - 4 * n**3) // 3


def lapack(*routines: str, types: str = "sdcz") -> tuple[str, ...]:
    """Name the calls of LAPACK routines in single and double precision, real and complex."""
    return tuple(f"lapack_{kind}{routine}_ffi" for routine in routines for kind in types)


def solver(*routines: str) -> tuple[str, ...]:
    """Name the calls of the same routines in cuSOLVER and hipSOLVER."""
    return tuple(f"{gpu}solver_{routine}_ffi" for routine in routines for gpu in ("cu", "hip"))


def routine(*targets: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of some calls, for real and complex numbers."""

    def register(rule: Rule) -> Rule:
        @wraps(rule)
        def price(call: CustomCall) -> Cost | None:
            cost = rule(call)
            if cost is None or not any(map(is_complex, call.operands)):
                return cost
            return replace(cost, flops=PER_MULTIPLY_ADD * (cost.flops or 0))

        return built_in(*targets)(price)

    return register


@routine(*lapack("potrf"), *solver("potrf"), "Cholesky")
def cholesky(call: CustomCall) -> Cost:
    """POTRF, the Cholesky factor: LAPACK Working Note 41, n^3/3 + ..."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * potrf(n))


@routine(*lapack("getrf"), *solver("getrf"), "LuRealDecompositionBlock")
def lu(call: CustomCall) -> Cost:
    """GETRF, LU with partial pivoting: LAPACK Working Note 41, 2n^3/3 + ..."""
    batch, m, n = matrix(operand(call, 0))
    return call.cost(flops=batch * getrf(m, n))


@routine(*lapack("geqrf", "geqp3"), *solver("geqrf"), "QrDecompositionBlock")
def qr(call: CustomCall) -> Cost:
    """GEQRF, the Householder QR factorization: LAPACK Working Note 41, 2mn^2 - 2n^3/3 + ...

    GEQP3 pivots on top of it; the norms of the columns that it keeps up to date are O(mn).
    """
    batch, m, n = matrix(operand(call, 0))
    return call.cost(flops=batch * geqrf(m, n))


@routine(*lapack("orgqr", types="sd"), *lapack("ungqr", types="cz"), *solver("orgqr"))
def generate_q(call: CustomCall) -> Cost:
    """ORGQR, the columns of Q from k reflectors: LAPACK Working Note 41, 4mnk - ..."""
    batch, m, n = matrix(result(call, 0))
    return call.cost(flops=batch * orgqr(m, n, _reflectors(call)))


@routine(*lapack("ormqr", types="sd"), *lapack("unmqr", types="cz"), *solver("ormqr"))
def multiply_by_q(call: CustomCall) -> Cost:
    """ORMQR, Q times a matrix or a matrix times Q: LAPACK Working Note 41, 4mnk - ..."""
    batch, m, n = matrix(result(call, 0))
    left = bool(attribute(call, "left"))
    flops = ormqr(m, n, _reflectors(call), left=left)
    return call.cost(flops=batch * flops)


def _reflectors(call: CustomCall) -> int:
    """Count the Householder reflectors: the length of tau, the second operand."""
    tau = operand(call, 1)
    if not tau.dimensions:
        raise UnknownFormError(f"{call.target}: tau is a scalar")
    return tau.dimensions[-1]


@routine(*lapack("trsm"))
def triangular_solve(call: CustomCall) -> Cost:
    """TRSM, a triangular system: LAPACK Working Note 41, n^2 per right-hand side."""
    left, unit = letter(call, "side") == "L", letter(call, "diag") == "U"
    return call.cost(flops=_triangular_solve(call, left=left, unit_diagonal=unit))


@routine("__cublas$triangularSolve")
def cublas_triangular_solve(call: CustomCall) -> Cost:
    """TRSM of cuBLAS, the same system and the same count."""
    options = configuration(call)
    left, unit = bool(options.get("left_side")), bool(options.get("unit_diagonal"))
    return call.cost(
        flops=_triangular_solve(call, left=left, unit_diagonal=unit),
        bytes_written=bytes_without_workspace(call),
    )


def _triangular_solve(call: CustomCall, *, left: bool, unit_diagonal: bool) -> int:
    _, n, _ = square(operand(call, 0))
    batch, rows, columns = matrix(operand(call, 1))
    if n != (rows if left else columns):
        raise UnknownFormError(f"{call.target}: the triangle does not fit the right-hand sides")
    right_sides = columns if left else rows
    return batch * trsm(n, right_sides, unit_diagonal=unit_diagonal)


@routine("InvertDiagBlocksLowerTriangular", "InvertDiagBlocksUpperTriangular")
def triangular_inverse(call: CustomCall) -> Cost:
    """TRTRI, the inverse of triangles: LAPACK Working Note 41, n^3/3 + ..."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * trtri(n))


@routine(*lapack("gehrd"))
def to_hessenberg(call: CustomCall) -> Cost | None:
    """GEHRD, reduction of a whole matrix to Hessenberg form: Working Note 41, 10n^3/3 - ..."""
    batch, n, _ = square(operand(call, 0))
    if (attribute(call, "low"), attribute(call, "high")) != (1, n):
        return None
    return call.cost(flops=batch * gehrd(n))


@routine(*lapack("sytrd", types="sd"), *lapack("hetrd", types="cz"), *solver("sytrd"))
def to_tridiagonal(call: CustomCall) -> Cost:
    """SYTRD, reduction to tridiagonal form: LAPACK Working Note 41, 4n^3/3 + ..."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * sytrd(n))


@routine(*lapack("gtsv"))
def tridiagonal_solve(call: CustomCall) -> Cost:
    """GTSV, a tridiagonal system: 3(n - 1) operations, and 7n - 8 per right-hand side.

    Counted off the loops of LAPACK's ``dgtsv.f`` where no rows are exchanged: 3 operations to
    eliminate an element, and for each right-hand side 2 in the elimination of a row, 5 in the
    back substitution of one (3 and 1 in the last two).
    """
    batch, n, right_sides = matrix(operand(call, 3))
    per_side = 7 * n - 8 if n > 1 else n
    return call.cost(flops=batch * (3 * max(0, n - 1) + right_sides * per_side))


_LARGEST_JACOBI = 32
"""JAX's GPU kernel for symmetric matrices takes Jacobi up to this size, unless told."""

_JACOBI = 2


@routine(*lapack("syevd", types="sd"), *lapack("heevd", types="cz"))
def symmetric(call: CustomCall) -> Cost:
    """SYEVD: reduction to tridiagonal form, and with eigenvectors the product with its Q.

    4n^3/3 + ... for eigenvalues alone (LUG 1.33 n^3), 2n^3 more for the vectors (ORMTR applies n
    reflectors to n vectors). What divide and conquer itself takes depends on how much it can
    deflate, at most 4n^3/3 (GVL 8.5.4), and is left out.
    """
    return _symmetric(call, vectors=letter(call, "mode") == "V")


@routine(*solver("syevd"))
def gpu_symmetric(call: CustomCall) -> Cost | None:
    """SYEVD of a GPU: as LAPACK's; unknown where Jacobi rotations are used."""
    algorithm = attribute(call, "algorithm")
    _, n, _ = square(operand(call, 0))
    if algorithm == _JACOBI or (algorithm == 0 and n <= _LARGEST_JACOBI):
        return None
    return _symmetric(call, vectors=True)


def _symmetric(call: CustomCall, *, vectors: bool) -> Cost:
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * (sytrd(n) + (2 * n**3 if vectors else 0)))


@routine(*lapack("geev"), *solver("geev"))
def general(call: CustomCall) -> Cost:
    """GEEV: 10n^3 for eigenvalues alone, 26 1/3 n^3 with right eigenvectors (LUG).

    With left ones too, the 25n^3 of the Schur form (GVL 7.5.6) carry over, and the 4n^3/3 of
    turning it into eigenvectors come twice.
    """
    if "compute_left" in attributes(call):
        sides = (letter(call, "compute_left") == "V") + (letter(call, "compute_right") == "V")
    else:
        sides = attribute(call, "left") + attribute(call, "right")
    batch, n, _ = square(operand(call, 0))
    flops = (75 + 4 * sides) * n**3 // 3 if sides else 10 * n**3
    return call.cost(flops=batch * flops)


@routine(*lapack("gees"))
def schur(call: CustomCall) -> Cost | None:
    """GEES: 25n^3 for the Schur form and its vectors (GVL 7.5.6); unknown without vectors."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * 25 * n**3) if letter(call, "mode") == "V" else None


@routine(*lapack("gesdd"), *solver("gesdd"))
def singular_values(call: CustomCall) -> Cost:
    """GESDD, by divide and conquer: what its steps of fixed length take.

    Of m x n with m >= n, bidiagonalisation (4mn^2 - 4n^3/3) and, with vectors, the products with
    both of its orthogonal factors; where m >= 11n/6, a QR factorization comes first and the rest
    is of n x n, as in LAPACK's ``dgesdd.f``. For square matrices that is LUG's 2.67 n^3 and
    6.67 n^3. Divide and conquer of the bidiagonal matrix itself is left out: how much it can
    deflate depends on the matrix.
    """
    batch, m, n = _tall(call)
    vectors, full = _wanted_vectors(call)
    columns = m if full else n
    flops = 0
    if 6 * m >= 11 * n and m > n:
        flops += geqrf(m, n)
        if vectors:
            flops += orgqr(m, columns, n) + 2 * m * n * n
        m = columns = n
    flops += gebrd(m, n)
    if vectors:
        flops += ormqr(m, columns, n, left=True)
        flops += ormqr(n, n, n, left=False)
    return _decomposition(call, batch * flops, vectors=vectors)


@routine(*lapack("gesvd"), *solver("gesvd"))
def singular_values_by_qr(call: CustomCall) -> Cost:
    """GESVD, by QR iterations: the Golub-Reinsch algorithm (GVL 5.4.5).

    Of m x n with m >= n: 4mn^2 - 4n^3/3 for the values, 14mn^2 + 8n^3 with the thin U and V,
    4m^2n + 8mn^2 + 9n^3 with all of U.
    """
    batch, m, n = _tall(call)
    vectors, full = _wanted_vectors(call)
    if not vectors:
        flops = (12 * m * n**2 - 4 * n**3) // 3
    elif full:
        flops = 4 * m**2 * n + 8 * m * n**2 + 9 * n**3
    else:
        flops = 14 * m * n**2 + 8 * n**3
    return _decomposition(call, batch * flops, vectors=vectors)


def _tall(call: CustomCall) -> tuple[int, int, int]:
    """Return how many matrices are decomposed, and their longer and their shorter side."""
    batch, m, n = matrix(operand(call, 0))
    return batch, max(m, n), min(m, n)


def _wanted_vectors(call: CustomCall) -> tuple[bool, bool]:
    """Return whether a call computes U and V, and all of U: a letter of LAPACK, flags of a GPU."""
    options = attributes(call)
    if "mode" in options:
        mode = letter(call, "mode")
        return mode != "N", mode == "A"
    return bool(attribute(call, "compute_uv")), bool(options.get("full_matrices"))


def _decomposition(call: CustomCall, flops: int, *, vectors: bool) -> Cost:
    """Return the cost, without the memory of U and V where the call has it but does not fill it."""
    results = call.results
    if len(results) != 5:
        raise UnknownFormError(f"{call.target} has {len(results)} results, not A, S, U, V, info")
    written = sum(shape.bytes for shape in (results if vectors else (*results[:2], results[4])))
    return call.cost(flops=flops, bytes_written=written)


@routine(*solver("gesvdj", "gesvdp"))
def iterative_singular_values(call: CustomCall) -> None:
    """GESVDJ rotates until it has converged, GESVDP iterates a polar decomposition: unknown."""
