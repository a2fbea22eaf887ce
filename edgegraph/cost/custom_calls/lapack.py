"""Rules for LAPACK and BLAS calls of the CPU backend, and their like on GPUs and TPUs.

JAX calls LAPACK through XLA's typed foreign function interface; matrices of a batch stand in
the leading dimensions. Operation counts come from `operation_counts`. MACs are 0: they are
counted of matrix products and convolutions only.
"""

from __future__ import annotations

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls import operation_counts as count
from edgegraph.cost.custom_calls.form import (
    attribute,
    bytes_without_workspace,
    configuration,
    letter,
    matrix,
    operand,
    result,
    square,
)
from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError, built_in


def lapack(*routines: str, types: str = "sdcz") -> tuple[str, ...]:
    """Name the calls of LAPACK routines in single and double precision, real and complex."""
    return tuple(f"lapack_{kind}{routine}_ffi" for routine in routines for kind in types)


def solver(*routines: str) -> tuple[str, ...]:
    """Name the calls of the same routines in cuSOLVER and hipSOLVER."""
    return tuple(f"{gpu}solver_{routine}_ffi" for routine in routines for gpu in ("cu", "hip"))


@built_in(*lapack("potrf"), *solver("potrf"), "Cholesky")
def cholesky(call: CustomCall) -> Cost:
    """POTRF, the Cholesky factor: LAPACK Working Note 41, n^3/3 + ..."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * count.cholesky(n))


@built_in(*lapack("getrf"), *solver("getrf"), "LuRealDecompositionBlock")
def lu(call: CustomCall) -> Cost:
    """GETRF, LU with partial pivoting: LAPACK Working Note 41, 2n^3/3 + ..."""
    batch, m, n = matrix(operand(call, 0))
    return call.cost(flops=batch * count.lu(m, n))


@built_in(*lapack("geqrf", "geqp3"), *solver("geqrf"), "QrDecompositionBlock")
def qr(call: CustomCall) -> Cost:
    """GEQRF, the Householder QR factorization: LAPACK Working Note 41, 2mn^2 - 2n^3/3 + ...

    GEQP3 pivots on top of it; the norms of the columns that it keeps up to date are O(mn).
    """
    batch, m, n = matrix(operand(call, 0))
    return call.cost(flops=batch * count.qr(m, n))


@built_in(*lapack("orgqr", types="sd"), *lapack("ungqr", types="cz"), *solver("orgqr"))
def generate_q(call: CustomCall) -> Cost:
    """ORGQR, the columns of Q from k reflectors: LAPACK Working Note 41, 4mnk - ..."""
    batch, m, n = matrix(result(call, 0))
    return call.cost(flops=batch * count.generate_q(m, n, _reflectors(call)))


@built_in(*lapack("ormqr", types="sd"), *lapack("unmqr", types="cz"), *solver("ormqr"))
def multiply_by_q(call: CustomCall) -> Cost:
    """ORMQR, Q times a matrix or a matrix times Q: LAPACK Working Note 41, 4mnk - ..."""
    batch, m, n = matrix(result(call, 0))
    left = bool(attribute(call, "left"))
    flops = count.multiply_by_q(m, n, _reflectors(call), left=left)
    return call.cost(flops=batch * flops)


def _reflectors(call: CustomCall) -> int:
    """Count the Householder reflectors: the length of tau, the second operand."""
    tau = operand(call, 1)
    if not tau.dimensions:
        raise UnknownFormError(f"{call.target}: tau is a scalar")
    return tau.dimensions[-1]


@built_in(*lapack("trsm"))
def triangular_solve(call: CustomCall) -> Cost:
    """TRSM, a triangular system: LAPACK Working Note 41, n^2 per right-hand side."""
    left, unit = letter(call, "side") == "L", letter(call, "diag") == "U"
    return call.cost(flops=_triangular_solve(call, left=left, unit_diagonal=unit))


@built_in("__cublas$triangularSolve")
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
    return batch * count.triangular_solve(n, right_sides, unit_diagonal=unit_diagonal)


@built_in("InvertDiagBlocksLowerTriangular", "InvertDiagBlocksUpperTriangular")
def triangular_inverse(call: CustomCall) -> Cost:
    """TRTRI, the inverse of triangles: LAPACK Working Note 41, n^3/3 + ..."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * count.triangular_inverse(n))


@built_in(*lapack("gehrd"))
def to_hessenberg(call: CustomCall) -> Cost | None:
    """GEHRD, reduction of a whole matrix to Hessenberg form: Working Note 41, 10n^3/3 - ..."""
    batch, n, _ = square(operand(call, 0))
    if (attribute(call, "low"), attribute(call, "high")) != (1, n):
        return None
    return call.cost(flops=batch * count.to_hessenberg(n))


@built_in(*lapack("sytrd", types="sd"), *lapack("hetrd", types="cz"), *solver("sytrd"))
def to_tridiagonal(call: CustomCall) -> Cost:
    """SYTRD, reduction to tridiagonal form: LAPACK Working Note 41, 4n^3/3 + ..."""
    batch, n, _ = square(operand(call, 0))
    return call.cost(flops=batch * count.to_tridiagonal(n))


@built_in(*lapack("gtsv"))
def tridiagonal_solve(call: CustomCall) -> Cost:
    """GTSV, a tridiagonal system: 3(n - 1) operations, and 7n - 8 per right-hand side.

    Counted off the loops of LAPACK's ``dgtsv.f`` where no rows are exchanged: 3 operations to
    eliminate an element, and for each right-hand side 2 in the elimination of a row, 5 in the
    back substitution of one (3 and 1 in the last two).
    """
    batch, n, right_sides = matrix(operand(call, 3))
    per_side = 7 * n - 8 if n > 1 else n
    return call.cost(flops=batch * (3 * max(0, n - 1) + right_sides * per_side))
