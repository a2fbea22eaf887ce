"""The work of ops as a calibration's table names it, by arithmetic on what JAX compiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.analysis.kernel_work import Work, work_of
from edgegraph.hlo.graph import flatten

SQUARE = jax.ShapeDtypeStruct((16, 16), jnp.float32)


def works(run: Callable[..., Any]) -> Mapping[str, Work]:
    """Return the work of every op that has any, by kind; of several the last one."""
    analysis = eg.analyze(run, args=(SQUARE,), name="work")
    nodes = flatten(analysis.module)
    shapes = {node.name: node.instruction.shape for node in nodes}
    found = {}
    for node, record in zip(nodes, analysis.op_records, strict=True):
        operands = [shapes[operand] for operand in node.operands]
        work = work_of(node, record, node.instruction, operands)
        if work.amount:
            found[work.kind] = work
    return found


@pytest.mark.parametrize(
    ("run", "kind", "size", "amount"),
    [
        (lambda x: x * 2.0, "arithmetic", 256, 256),
        (jnp.tanh, "tanh", 256, 256),
        (lambda x: 1.5 / x, "divide", 256, 256),
        (jnp.log1p, "log-plus-one", 256, 256),
        (jnp.tan, "tan", 256, 256),
        # 16 rows of 16 log2(16) comparisons
        (lambda x: jnp.sort(x, axis=1), "sort", 16 * 16 * 4, 16 * 16 * 4),
        # 8 for each value and each of 4 passes
        (lambda x: jnp.fft.fft(x + 0j, axis=1), "fft", 8 * 256 * 4, 8 * 256 * 4),
        (lambda x: jax.lax.fori_loop(0, 5, lambda _, y: jnp.sin(y) + x, x), "sine", 256,
         5 * 256),
    ],
)  # fmt: skip
def test_ops_do_the_work_of_their_kind(
    run: Callable[..., Any], kind: str, size: int, amount: int
) -> None:
    found = works(run)[kind]
    assert (found.sizes[0], found.amount) == (size, amount)


def test_a_call_of_lapack_does_no_less_than_the_smallest_that_is_timed() -> None:
    def solve(x: jax.Array) -> jax.Array:
        return jax.lax.linalg.triangular_solve(x[:2, :2], x[:2, :1], left_side=True, lower=True)

    assert works(solve)["lapack"].amount == 4**3
