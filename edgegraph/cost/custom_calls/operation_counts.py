"""Operation counts of LAPACK's computational routines, exact polynomials.

Source: Blackford and Dongarra, "Installation Guide for LAPACK", LAPACK Working Note 41 (1999),
appendix C; additions and multiplications together, a division or square root counting as a
multiplication.

An operation on complex numbers counts as one, as XLA counts one: its figure for a dot of c64 is
that for a dot of f32. (The hardware needs 6 real operations for a complex multiplication and 2
for an addition.)

All quotients are whole. Constant terms that would leave the count of a tiny matrix negative are
cut off at 0.
"""

from __future__ import annotations


def cholesky(n: int) -> int:
    """POTRF: n^3/3 + n^2/2 + n/6."""
    return (2 * n**3 + 3 * n**2 + n) // 6


def lu(m: int, n: int) -> int:
    """GETRF: m n^2 - n^3/3 - n^2/2 + 5n/6 for m >= n; the same with m and n exchanged else."""
    m, n = max(m, n), min(m, n)
    return (6 * m * n**2 - 2 * n**3 - 3 * n**2 + 5 * n) // 6


def qr(m: int, n: int) -> int:
    """GEQRF: 2 m n^2 - 2n^3/3 + m n + n^2 + 14n/3 for m >= n, else with m and n exchanged."""
    if m >= n:
        return 2 * m * n**2 + m * n + n**2 + (14 * n - 2 * n**3) // 3
    return 2 * n * m**2 + 3 * m * n - m**2 + (14 * m - 2 * m**3) // 3


def generate_q(m: int, n: int, k: int) -> int:
    """ORGQR: 4mnk - 2(m + n)k^2 + 4k^3/3 + 3nk - mk - k^2 - 4k/3, of k reflectors."""
    squares = 4 * m * n * k - 2 * (m + n) * k**2 + 3 * n * k - m * k - k**2
    return max(0, squares + 4 * (k**3 - k) // 3)


def multiply_by_q(m: int, n: int, k: int, *, left: bool) -> int:
    """ORMQR: apply k reflectors to an m x n matrix from the left or the right.

    From the left 4mnk - 2nk^2 + 3nk, from the right 4mnk - 2mk^2 + 2mk + nk - k^2/2 + k/2.
    """
    if left:
        return max(0, 4 * m * n * k - 2 * n * k**2 + 3 * n * k)
    return max(0, 4 * m * n * k - 2 * m * k**2 + 2 * m * k + n * k + (k - k**2) // 2)


def triangular_solve(n: int, right_sides: int, *, unit_diagonal: bool) -> int:
    """TRSM: n^2 operations for each right-hand side, n fewer if nothing is divided."""
    return right_sides * (n**2 - n if unit_diagonal else n**2)


def triangular_inverse(n: int) -> int:
    """TRTRI: n^3/3 + 2n/3."""
    return (n**3 + 2 * n) // 3


def to_hessenberg(n: int) -> int:
    """GEHRD: 10n^3/3 - n^2/2 - 11n/6 - 21."""
    return max(0, (20 * n**3 - 3 * n**2 - 11 * n) // 6 - 21)


def to_tridiagonal(n: int) -> int:
    """SYTRD: 4n^3/3 + 7n^2/2 - 17n/6 - 19."""
    return max(0, (8 * n**3 + 21 * n**2 - 17 * n) // 6 - 19)


def to_bidiagonal(m: int, n: int) -> int:
    """GEBRD: 4mn^2 - 4n^3/3 + 3n^2 - mn + 25n/3 for m >= n, else with m and n exchanged."""
    m, n = max(m, n), min(m, n)
    return 4 * m * n**2 + 3 * n**2 - m * n + (25 * n - 4 * n**3) // 3
