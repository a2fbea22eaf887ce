"""LAPACK's calls on this host and their like on GPUs and TPUs, by hand from published formulas.

The counts of its routines are held against loops that count and the leading terms of textbooks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import pytest
from jax import lax

from edgegraph.cost.custom_calls.lapack import (
    gebrd,
    gehrd,
    geqrf,
    getrf,
    orgqr,
    ormqr,
    potrf,
    sytrd,
    trsm,
    trtri,
)
from tests.cost.custom_calls.calls import array, call, calls, compiled


def thin_svd(x: Any) -> Any:
    return jnp.linalg.svd(x, full_matrices=False)


def full_svd(x: Any) -> Any:
    return jnp.linalg.svd(x, full_matrices=True)


def svd_by_qr(x: Any) -> Any:
    return lax.linalg.svd(x, full_matrices=False, algorithm=lax.linalg.SvdAlgorithm.QR)


def solve_lower(a: Any, b: Any) -> Any:
    return lax.linalg.triangular_solve(a, b, left_side=True, lower=True)


def solve_right_unit(a: Any, b: Any) -> Any:
    return lax.linalg.triangular_solve(a, b, left_side=False, lower=True, unit_diagonal=True)


def pivoted_qr(x: Any) -> Any:
    return lax.linalg.qr(x, pivoting=True)


def both_eigenvectors(x: Any) -> Any:
    return lax.linalg.eig(x)


# Of an n x n matrix with n = 8, unless said otherwise, by LAPACK Working Note 41; of complex
# numbers 4 times as many, half products of 6 real operations and half sums of 2.
LINEAR_ALGEBRA: list[tuple[Callable[..., Any], tuple[Any, ...], str, int]] = [
    # n^3/3 + n^2/2 + n/6 = 204, of 3 matrices.
    (jnp.linalg.cholesky, (array(3, 8, 8),), "lapack_spotrf_ffi", 3 * 204),
    (jnp.linalg.cholesky, (array(8, 8, dtype="complex64"),), "lapack_cpotrf_ffi", 4 * 204),
    # m n^2 - n^3/3 - n^2/2 + 5n/6 of 8 x 6: 288 - 72 - 18 + 5.
    (lax.linalg.lu, (array(8, 6),), "lapack_sgetrf_ffi", 203),
    (lax.linalg.lu, (array(6, 8),), "lapack_sgetrf_ffi", 203),
    # 2 m n^2 - 2n^3/3 + m n + n^2 + 14n/3 of 8 x 6: 576 - 144 + 48 + 36 + 28.
    (jnp.linalg.qr, (array(5, 8, 6),), "lapack_sgeqrf_ffi", 5 * 544),
    (pivoted_qr, (array(8, 6),), "lapack_sgeqp3_ffi", 544),
    # 4mnk - 2(m + n)k^2 + 3nk - mk - k^2 + (4k^3 - 4k)/3, k = n = 6:
    # 1152 - 1008 + 108 - 48 - 36 + 280.
    (jnp.linalg.qr, (array(5, 8, 6),), "lapack_sorgqr_ffi", 5 * 448),
    (jnp.linalg.qr, (array(8, 6, dtype="complex64"),), "lapack_cungqr_ffi", 4 * 448),
    # n^2 for each of 5 right-hand sides; n fewer with ones on the diagonal.
    (solve_lower, (array(3, 8, 8), array(3, 8, 5)), "lapack_strsm_ffi", 3 * 5 * 64),
    (solve_right_unit, (array(8, 8), array(5, 8)), "lapack_strsm_ffi", 5 * 56),
    # 4n^3/3 + 7n^2/2 - 17n/6 - 19 = 865, and 2n^3 for the vectors.
    (jnp.linalg.eigh, (array(3, 8, 8),), "lapack_ssyevd_ffi", 3 * (865 + 1024)),
    (
        jnp.linalg.eigh,
        (array(8, 8, dtype="complex64"),),
        "lapack_cheevd_ffi",
        4 * (865 + 1024),
    ),
    (lambda x: lax.linalg.tridiagonal(x, lower=True), (array(8, 8),), "lapack_ssytrd_ffi", 865),
    # 10n^3/3 - n^2/2 - 11n/6 - 21.
    (jax.scipy.linalg.hessenberg, (array(3, 8, 8),), "lapack_sgehrd_ffi", 3 * 1639),
    # 10n^3; 26 1/3 n^3 with right eigenvectors; 4/3 n^3 more with left ones.
    (jnp.linalg.eigvals, (array(8, 8),), "lapack_sgeev_ffi", 5120),
    (jnp.linalg.eig, (array(8, 8),), "lapack_sgeev_ffi", 79 * 512 // 3),
    (both_eigenvectors, (array(8, 8),), "lapack_sgeev_ffi", 83 * 512 // 3),
    (jax.scipy.linalg.schur, (array(8, 8),), "lapack_sgees_ffi", 25 * 512),
    # GEBRD of 8 x 6: 4mn^2 + 3n^2 - mn + (25n - 4n^3)/3 = 1152 + 108 - 48 - 238 = 974; ORMQR
    # from the left on 8 x 6: 828; from the right on 6 x 6: 525.
    (thin_svd, (array(3, 8, 6),), "lapack_sgesdd_ffi", 3 * (974 + 828 + 525)),
    (lambda x: jnp.linalg.svd(x, compute_uv=False), (array(8, 6),), "lapack_sgesdd_ffi", 974),
    # Tall, 24 x 6: GEQRF 1792, ORGQR 1504, the rest of 6 x 6 (GEBRD 698, ORMQR 540 and 525), and
    # the product with Q: 2 m n^2.
    (thin_svd, (array(24, 6),), "lapack_sgesdd_ffi", 1792 + 1504 + 698 + 540 + 525 + 1728),
    # Golub-Reinsch of 8 x 6: 14mn^2 + 8n^3.
    (svd_by_qr, (array(8, 6),), "lapack_sgesvd_ffi", 14 * 8 * 36 + 8 * 216),
    # 3(n - 1) + 2 (7n - 8), of 3 systems.
    (
        lax.linalg.tridiagonal_solve,
        (array(3, 8), array(3, 8), array(3, 8), array(3, 8, 2)),
        "lapack_sgtsv_ffi",
        3 * 117,
    ),
    # 400 elements, log2(5) rounded up.
    (lambda x: lax.top_k(x, 5), (array(4, 100),), "TopK", 400 * 3),
]


@pytest.mark.parametrize(("function", "arguments", "target", "flops"), LINEAR_ALGEBRA)
def test_linear_algebra_of_this_host(
    function: Callable[..., Any], arguments: tuple[Any, ...], target: str, flops: int
) -> None:
    (found,) = calls(compiled(function, *arguments))[target]
    assert found.cost.flops == flops
    assert found.cost.macs == 0
    assert found.unpriced is None


def test_the_full_svd_of_a_square_matrix_is_the_users_guides() -> None:
    """LAPACK Users' Guide: 2.67 n^3 for the values, 6.67 n^3 with all vectors."""
    n = 512
    (values,) = calls(compiled(lambda x: jnp.linalg.svd(x, compute_uv=False), array(n, n)))[
        "lapack_sgesdd_ffi"
    ]
    (vectors,) = calls(compiled(full_svd, array(n, n)))["lapack_sgesdd_ffi"]
    assert values.cost.flops == pytest.approx(2.67 * n**3, rel=0.01)
    assert vectors.cost.flops == pytest.approx(6.67 * n**3, rel=0.01)


def test_matrices_in_place_are_read_and_written() -> None:
    (call,) = calls(compiled(jnp.linalg.cholesky, array(3, 8, 8)))["lapack_spotrf_ffi"]
    assert call.cost.bytes_read == 3 * 64 * 4
    assert call.cost.bytes_written == 3 * 64 * 4 + 3 * 4  # one status each


def test_vectors_that_are_not_computed_are_not_written() -> None:
    (call,) = calls(compiled(lambda x: jnp.linalg.svd(x, compute_uv=False), array(8, 6)))[
        "lapack_sgesdd_ffi"
    ]
    assert call.cost.bytes_written == 4 * (48 + 6 + 1)


def test_a_solve_is_its_parts() -> None:
    found = calls(compiled(jnp.linalg.solve, array(8, 8), array(8, 2)))
    assert sum(op.cost.flops or 0 for op in found["lapack_sgetrf_ffi"]) == 316
    assert [op.cost.flops for op in found["lapack_strsm_ffi"]] == [2 * 56, 2 * 64]


def test_cublas_triangular_solve() -> None:
    config = {"left_side": True, "lower": True, "unit_diagonal": False}
    found = call(
        "(f32[2,64,5], s8[32])", "f32[2,64,64] f32[2,64,5]", "__cublas$triangularSolve",
        config=config,
    )  # fmt: skip
    assert found.cost.flops == 2 * 5 * 64 * 64
    assert found.cost.bytes_written == 4 * 2 * 64 * 5


@pytest.mark.parametrize(
    ("target", "result", "operands", "config", "flops"),
    [
        ("cusolver_potrf_ffi", "(f32[3,8,8], s32[3])", "f32[3,8,8]", "{lower = true}", 612),
        ("cusolver_getrf_ffi", "(f32[8,8], s32[8], s32[])", "f32[8,8]", "{}", 316),
        ("cusolver_geqrf_ffi", "(f32[8,6], f32[6])", "f32[8,6]", "{}", 544),
        ("cusolver_orgqr_ffi", "f32[8,6]", "f32[8,6] f32[6]", "{}", 448),
        ("cusolver_ormqr_ffi", "f32[8,6]", "f32[8,6] f32[6] f32[8,6]", "{left = true}", 828),
        (
            "cusolver_syevd_ffi", "(f32[64,64], f32[64], s32[])", "f32[64,64]",
            "{algorithm = 1 : ui8, lower = true}", (8 * 64**3 + 21 * 64**2 - 17 * 64) // 6 - 19
            + 2 * 64**3,
        ),
        (
            "cusolver_syevd_ffi", "(f32[8,8], f32[8], s32[])", "f32[8,8]",
            "{algorithm = 0 : ui8, lower = true}", None,
        ),
        (  # as large, but told to rotate
            "cusolver_syevd_ffi", "(f32[64,64], f32[64], s32[])", "f32[64,64]",
            "{algorithm = 2 : ui8, lower = true}", None,
        ),
        (
            # JAX's kernel rotates up to 32 rows, unless told.
            "cusolver_syevd_ffi", "(f32[32,32], f32[32], s32[])", "f32[32,32]",
            "{algorithm = 0 : ui8, lower = true}", None,
        ),
        (
            "cusolver_syevd_ffi", "(f32[33,33], f32[33], s32[])", "f32[33,33]",
            "{algorithm = 0 : ui8, lower = true}", (8 * 33**3 + 21 * 33**2 - 17 * 33) // 6 - 19
            + 2 * 33**3,
        ),
        (
            # dgesdd.f: below m = 11n/6 GEBRD of 10 x 6: 1440 + 108 - 60 - 238.
            "cusolver_gesdd_ffi", "(f32[10,6], f32[6], f32[1], f32[1], s32[])", "f32[10,6]",
            "{compute_uv = false, full_matrices = false}", 1250,
        ),
        (
            # From there on GEQRF of 11 x 6 (792 + 66 + 36 - 116) and GEBRD of 6 x 6.
            "cusolver_gesdd_ffi", "(f32[11,6], f32[6], f32[1], f32[1], s32[])", "f32[11,6]",
            "{compute_uv = false, full_matrices = false}", 778 + 698,
        ),
        (
            "cusolver_gesvd_ffi", "(f32[8,6], f32[6], f32[8,6], f32[6,6], s32[])", "f32[8,6]",
            "{compute_uv = true, full_matrices = false, transposed = false}", 5760,
        ),
        (
            # 4m^2 n + 8mn^2 + 9n^3 with all of U.
            "cusolver_gesvd_ffi", "(f32[8,6], f32[6], f32[8,8], f32[6,6], s32[])", "f32[8,6]",
            "{compute_uv = true, full_matrices = true, transposed = false}",
            4 * 64 * 6 + 8 * 8 * 36 + 9 * 216,
        ),
        (
            "cusolver_gesdd_ffi", "(f32[8,6], f32[6], f32[8,6], f32[6,6], s32[])", "f32[8,6]",
            "{compute_uv = true, full_matrices = false}", 974 + 828 + 525,
        ),
        (
            "cusolver_geev_ffi", "(c64[8], c64[8,8], c64[8,8], s32[])", "f32[8,8]",
            "{left = false, right = true}", 79 * 512 // 3,
        ),
        (
            "cusolver_gesvdj_ffi", "(f32[8,6], f32[6], f32[8,8], f32[6,6], s32[])", "f32[8,6]",
            "{compute_uv = true, full_matrices = true}", None,
        ),
        ("Cholesky", "f32[3,8,8]", "f32[3,8,8]", "{}", 612),
        ("LuRealDecompositionBlock", "(f32[8,8], s32[8], s32[8])", "f32[8,8]", "{}", 316),
        ("QrDecompositionBlock", "(f32[8,6], f32[6])", "f32[8,6]", "{}", 544),
        ("InvertDiagBlocksLowerTriangular", "f32[1,4,4]", "f32[1,4,4]", "{}", 24),
    ],
)  # fmt: skip
def test_solvers_of_gpus_and_tpus(
    target: str, result: str, operands: str, config: str, flops: int | None
) -> None:
    found = call(result, operands, target, config=config)
    assert found.cost.flops == flops
    assert (found.unpriced is None) == (flops is not None)


LARGE = 20_000


@pytest.mark.parametrize("n", [0, 1, 2, 3, 8, 17])
def test_cholesky_column_by_column(n: int) -> None:
    operations = 0
    for column in range(n):
        below = n - column - 1
        operations += 1 + below  # a square root, and divisions by it
        operations += below * (below + 1)  # a multiplication and an addition for half of the rest
    assert potrf(n) == operations


@pytest.mark.parametrize(("m", "n"), [(1, 1), (8, 8), (9, 4), (17, 16)])
def test_lu_column_by_column(m: int, n: int) -> None:
    operations = 0
    for column in range(min(m, n)):
        below, right = m - column - 1, n - column - 1
        operations += 1 + below  # a reciprocal, and multiplications by it
        operations += 2 * below * right
    assert getrf(m, n) == getrf(n, m)
    assert getrf(m, n) == operations


def test_triangles_row_by_row() -> None:
    n, right_sides = 7, 3
    solve = sum(2 * row + 1 for row in range(n))  # row multiplications and additions, a division
    assert trsm(n, right_sides, unit_diagonal=False) == right_sides * solve
    assert trsm(n, right_sides, unit_diagonal=True) == right_sides * (solve - n)
    # A reciprocal, and the product of a triangle and a column, times that.
    inverse = sum(1 + below**2 + below for below in range(n))
    assert trtri(n) == inverse


@pytest.mark.parametrize(
    ("found", "leading"),
    [
        # Golub and Van Loan: 2n^2(m - n/3); 4/3 n^3 for all of Q; 10/3, 4/3 and 8/3 n^3.
        (geqrf(2 * LARGE, LARGE), (4 - 2 / 3) * LARGE**3),
        (geqrf(LARGE, 2 * LARGE), (4 - 2 / 3) * LARGE**3),
        (orgqr(LARGE, LARGE, LARGE), 4 / 3 * LARGE**3),
        (orgqr(2 * LARGE, LARGE, LARGE), (8 - 6 + 4 / 3) * LARGE**3),
        (ormqr(LARGE, LARGE, LARGE, left=True), 2 * LARGE**3),
        (ormqr(LARGE, LARGE, LARGE, left=False), 2 * LARGE**3),
        (trtri(LARGE), LARGE**3 / 3),
        (gehrd(LARGE), 10 / 3 * LARGE**3),
        (sytrd(LARGE), 4 / 3 * LARGE**3),
        (gebrd(LARGE, LARGE), 8 / 3 * LARGE**3),
        (gebrd(LARGE, 2 * LARGE), (8 - 4 / 3) * LARGE**3),
    ],
)
def test_leading_terms(found: int, leading: float) -> None:
    assert found == pytest.approx(leading, rel=1e-3)


def test_tiny_matrices_cost_nothing_less_than_nothing() -> None:
    assert gehrd(1) == sytrd(1) == 0
    assert orgqr(1, 1, 5) >= 0
