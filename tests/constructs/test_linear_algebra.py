"""Linear algebra, which becomes calls of LAPACK: the calls by their formulas, the rest by XLA."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest
from jax import lax

from tests.constructs.construct import STAGES, analysed, array, ops


def solve(a: Any, b: Any) -> Any:
    return lax.linalg.triangular_solve(a, b, left_side=True, lower=True)


MATRICES = 3 * 64 * 4
STATUS = 3 * 4

# LAPACK Working Note 41, for 3 matrices of 8 x 8 (and 8 x 5, 8 x 6) in f32: operations, bytes
# read and bytes written. A factorisation overwrites its matrix and reports a status.
LINEAR_ALGEBRA: dict[str, tuple[Any, tuple[Any, ...], int, int, int]] = {
    # n^3/3 + n^2/2 + n/6.
    "cholesky": (jnp.linalg.cholesky, (array(3, 8, 8),), 3 * 204, MATRICES, MATRICES + STATUS),
    # n^2 for each right-hand side.
    "triangular solve": (
        solve,
        (array(3, 8, 8), array(3, 8, 5)),
        3 * 5 * 64,
        MATRICES + 3 * 40 * 4,
        3 * 40 * 4,
    ),
    # GEBRD 974, ORMQR from the left 828 and from the right 525; A, S, U, V and the status.
    "svd": (
        lambda x: jnp.linalg.svd(x, full_matrices=False),
        (array(3, 8, 6),),
        3 * (974 + 828 + 525),
        3 * 48 * 4,
        3 * (48 + 6 + 48 + 36) * 4 + STATUS,
    ),
    # 4n^3/3 + 7n^2/2 - 17n/6 - 19 = 865, and 2n^3 for the vectors; those, the values, the status.
    "eigh": (
        jnp.linalg.eigh,
        (array(3, 8, 8),),
        3 * (865 + 1024),
        MATRICES,
        MATRICES + 3 * 8 * 4 + STATUS,
    ),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("function", "arguments", "flops", "read", "written"),
    LINEAR_ALGEBRA.values(),
    ids=LINEAR_ALGEBRA,
)
def test_linear_algebra(
    function: Any, arguments: tuple[Any, ...], flops: int, read: int, written: int, stage: str
) -> None:
    analysis = analysed(function, *arguments, stage=stage)
    (call,) = ops(analysis, "custom-call")
    assert (call.flops, call.bytes_read, call.bytes_written) == (flops, read, written)
    totals = analysis.totals
    # XLA says -1 of the call.
    assert totals.flops == flops + (totals.xla_flops or 0) + 1
    moved = totals.bytes_read + totals.bytes_written
    assert moved == read + written + (totals.xla_bytes or 0) + 1
    assert (totals.macs, totals.transcendentals) == (0, 0)
    assert (totals.lower_bound, analysis.unpriced) == (False, {})
