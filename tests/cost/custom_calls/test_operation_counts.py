"""Counts of LAPACK's routines, against loops that count and the leading terms of textbooks."""

from __future__ import annotations

import pytest

from edgegraph.cost.custom_calls import operation_counts as count

LARGE = 20_000


@pytest.mark.parametrize("n", [0, 1, 2, 3, 8, 17])
def test_cholesky_column_by_column(n: int) -> None:
    operations = 0
    for column in range(n):
        below = n - column - 1
        operations += 1 + below  # a square root, and divisions by it
        operations += below * (below + 1)  # a multiplication and an addition for half of the rest
    assert count.cholesky(n) == operations


@pytest.mark.parametrize(("m", "n"), [(1, 1), (8, 8), (9, 4), (17, 16)])
def test_lu_column_by_column(m: int, n: int) -> None:
    operations = 0
    for column in range(min(m, n)):
        below, right = m - column - 1, n - column - 1
        operations += 1 + below  # a reciprocal, and multiplications by it
        operations += 2 * below * right
    assert count.lu(m, n) == count.lu(n, m)
    assert count.lu(m, n) == operations


def test_triangles_row_by_row() -> None:
    n, right_sides = 7, 3
    solve = sum(2 * row + 1 for row in range(n))  # row multiplications and additions, a division
    assert count.triangular_solve(n, right_sides, unit_diagonal=False) == right_sides * solve
    assert count.triangular_solve(n, right_sides, unit_diagonal=True) == right_sides * (solve - n)
    # A reciprocal, and the product of a triangle and a column, times that.
    inverse = sum(1 + below**2 + below for below in range(n))
    assert count.triangular_inverse(n) == inverse


@pytest.mark.parametrize(
    ("found", "leading"),
    [
        # Golub and Van Loan: 2n^2(m - n/3); 4/3 n^3 for all of Q; 10/3, 4/3 and 8/3 n^3.
        (count.qr(2 * LARGE, LARGE), (4 - 2 / 3) * LARGE**3),
        (count.qr(LARGE, 2 * LARGE), (4 - 2 / 3) * LARGE**3),
        (count.generate_q(LARGE, LARGE, LARGE), 4 / 3 * LARGE**3),
        (count.generate_q(2 * LARGE, LARGE, LARGE), (8 - 6 + 4 / 3) * LARGE**3),
        (count.multiply_by_q(LARGE, LARGE, LARGE, left=True), 2 * LARGE**3),
        (count.multiply_by_q(LARGE, LARGE, LARGE, left=False), 2 * LARGE**3),
        (count.triangular_inverse(LARGE), LARGE**3 / 3),
        (count.to_hessenberg(LARGE), 10 / 3 * LARGE**3),
        (count.to_tridiagonal(LARGE), 4 / 3 * LARGE**3),
        (count.to_bidiagonal(LARGE, LARGE), 8 / 3 * LARGE**3),
        (count.to_bidiagonal(LARGE, 2 * LARGE), (8 - 4 / 3) * LARGE**3),
    ],
)
def test_leading_terms(found: int, leading: float) -> None:
    assert found == pytest.approx(leading, rel=1e-3)


def test_tiny_matrices_cost_nothing_less_than_nothing() -> None:
    assert count.to_hessenberg(1) == count.to_tridiagonal(1) == 0
    assert count.generate_q(1, 1, 5) >= 0
