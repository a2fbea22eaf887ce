"""Loops and branches, by hand and by what their unrolled equivalents cost."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from tests.constructs.construct import (
    STAGES,
    Construct,
    Figures,
    analysed,
    array,
    check,
    every,
    ops,
)


def counting(trips: int) -> int:
    """An addition in every iteration, and a comparison before each and at the end."""
    return trips + (trips + 1)


def scan(x: Any, weights: Any) -> Any:
    return lax.scan(lambda carry, w: (jnp.tanh(carry @ w), None), x, weights)[0]


def nested_scan(x: Any, weights: Any) -> Any:
    return lax.scan(lambda carry, several: (scan(carry, several), None), x, weights)[0]


def scan_with_results(x: Any, weights: Any) -> Any:
    def step(carry: Any, w: Any) -> Any:
        y = carry @ w
        return y, y.sum()

    return lax.scan(step, x, weights)[1]


def count_down(x: Any) -> Any:
    return lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 2, s[1] @ s[1]), (9, x))[1]


def mapped(x: Any, w: Any) -> Any:
    return lax.map(lambda row: jnp.tanh(row @ w), x)


DENSE = 4 * 8 * 8

LOOPS = {
    "scan": Construct(
        function=scan,
        arguments=(array(4, 8), array(12, 8, 8)),
        lowered=Figures(
            macs=12 * DENSE, flops=12 * 2 * DENSE + counting(12), transcendentals=12 * 32
        ),
    ),
    "scan with results": Construct(
        function=scan_with_results,
        arguments=(array(4, 8), array(6, 8, 8)),
        lowered=Figures(macs=6 * DENSE, flops=6 * (2 * DENSE + 31) + counting(6)),
    ),
    "nested scans": Construct(
        function=nested_scan,
        arguments=(array(4, 8), array(3, 5, 8, 8)),
        lowered=Figures(
            macs=15 * DENSE,
            flops=15 * 2 * DENSE + counting(3) + 3 * counting(5),
            transcendentals=15 * 32,
        ),
    ),
    "map": Construct(
        function=mapped,
        arguments=(array(7, 8), array(8, 8)),
        lowered=Figures(macs=7 * 64, flops=7 * 128 + counting(7), transcendentals=7 * 8),
    ),
    "while with a counter": Construct(
        function=count_down,
        arguments=(array(8, 8),),
        lowered=Figures(macs=5 * 512, flops=5 * 1024 + counting(5)),
    ),
    "while in a scan": Construct(
        function=lambda x: lax.fori_loop(0, 3, lambda i, v: count_down(v), x),
        arguments=(array(8, 8),),
        # The index of fori_loop is counted beside the scan's own until XLA drops it.
        lowered=Figures(macs=15 * 512, flops=15 * 1024 + counting(3) + 3 * counting(5) + 3),
        optimized=Figures(macs=15 * 512, flops=15 * 1024 + counting(3) + 3 * counting(5)),
    ),
}


@every(LOOPS)
def test_loops(construct: Construct, stage: str) -> None:
    analysis = check(construct, stage)
    assert analysis.totals.xla_flops is not None
    assert analysis.totals.xla_flops < analysis.totals.flops / 2


@pytest.mark.parametrize("stage", STAGES)
def test_every_op_of_nested_scans_says_how_often_it_runs(stage: str) -> None:
    analysis = analysed(nested_scan, array(4, 8), array(3, 5, 8, 8), stage=stage)
    (product,), (wave,) = ops(analysis, "dot"), ops(analysis, "tanh")
    assert product.executions == wave.executions == 15
    assert sorted(op.executions or 0 for op in ops(analysis, "while")) == [1, 3]
    assert max(op.executions or 0 for op in ops(analysis, "compare")) == 3 * 6


@pytest.mark.parametrize("stage", STAGES)
def test_a_loop_whose_end_depends_on_data_is_counted_once_and_says_so(stage: str) -> None:
    def until(v: Any) -> Any:
        return lax.while_loop(lambda u: u.sum() < 100, lambda u: jnp.tanh(u @ u), v)

    def four_times(x: Any) -> Any:
        return lax.fori_loop(0, 4, lambda i, v: until(v), x)

    for function, times in ((until, 1), (four_times, 4)):
        analysis = analysed(function, array(8, 8), stage=stage)
        totals = analysis.totals
        assert (totals.macs, totals.transcendentals) == (times * 512, times * 64)
        assert totals.lower_bound
        (reason,) = analysis.unpriced.values()
        assert "trip count depends on data" in reason
        (unknown,) = (op for op in ops(analysis, "while") if op.name in analysis.unpriced)
        assert unknown.executions == times
        inside = analysis.ops[analysis.ops.parent == unknown.name]
        assert inside.executions.isna().all()
        assert unknown.macs == inside.macs.sum() == times * 512


@pytest.mark.parametrize("stage", STAGES)
def test_a_loop_over_slices_moves_slices(stage: str) -> None:
    """Not the whole array in every iteration, neither read nor written."""

    def read(x: Any) -> Any:
        zeros = jnp.zeros((1, 64))
        return lax.fori_loop(0, 8, lambda i, v: v + lax.dynamic_slice_in_dim(x, i, 1), zeros)

    def write(x: Any) -> Any:
        def step(i: Any, v: Any) -> Any:
            return lax.dynamic_update_slice_in_dim(v, lax.dynamic_slice_in_dim(v, i, 1) * 2, i, 0)

        return lax.fori_loop(0, 8, step, x)

    row, index = 64 * 4, 4
    for function, moved in (
        # Of all 8 rows: read a row and the sum so far, write the sum.
        (read, (8 * (2 * row + index), 8 * row)),
        (write, (8 * (row + index), 8 * row)),
    ):
        analysis = analysed(function, array(8, 64), stage=stage)
        if stage == "optimized":
            (kernel,) = (op for op in ops(analysis, "fusion") if (op.flops or 0) >= 8 * 64)
            assert (kernel.bytes_read, kernel.bytes_written) == moved
            # An index that counts from the end: a comparison, an addition, a selection.
            assert kernel.flops == 8 * (64 + 3)
        else:
            moves = ops(analysis, "dynamic-slice", "dynamic-update-slice")
            assert {(op.bytes_read, op.bytes_written) for op in moves} == {
                (8 * (row + index), 8 * row)
            }
        assert not analysis.totals.lower_bound


X = array(8, 8)
SQUARE = 8 * 8 * 8


def tanh_of_square(v: Any) -> Any:
    return jnp.tanh(v @ v)


def add_one(v: Any) -> Any:
    return v + 1.0


def cond(flag: Any, x: Any) -> Any:
    return lax.cond(flag, tanh_of_square, add_one, x)


BRANCHES = {
    # Besides, the truth value becomes a number.
    "cond": Construct(
        function=cond,
        arguments=(array(dtype="bool"), X),
        lowered=Figures(
            macs=SQUARE,
            flops=2 * SQUARE + 1,
            transcendentals=64,
            read=1 + 2 * 256 + 256,
            written=4 + 2 * 256,
        ),
        optimized=Figures(macs=SQUARE, flops=2 * SQUARE + 1, transcendentals=64),
    ),
    # Products in one branch, sines in another; and the number is clamped into its range.
    "switch": Construct(
        function=lambda i, x: lax.switch(i, [lambda v: v @ v, lambda v: v @ v @ v, jnp.sin], x),
        arguments=(array(dtype="int32"), X),
        lowered=Figures(macs=2 * SQUARE, flops=4 * SQUARE + 1, transcendentals=64),
    ),
    # Both are computed for all 5, and one is selected: that takes a comparison and a selection
    # per element, a conversion and the decision itself, whose sum is 63 additions.
    "vmapped cond": Construct(
        function=jax.vmap(lambda v: lax.cond(v.sum() > 0, lambda u: u @ u, jnp.sin, v)),
        arguments=(array(5, 8, 8),),
        lowered=Figures(
            macs=5 * SQUARE,
            flops=5 * (2 * SQUARE + 2 * 64 + 63 + 2),
            transcendentals=5 * 64,
        ),
        # XLA compares once per array.
        optimized=Figures(
            macs=5 * SQUARE, flops=5 * (2 * SQUARE + 64 + 1 + 63 + 2), transcendentals=5 * 64
        ),
    ),
    "vmapped cond with one condition": Construct(
        function=jax.vmap(cond, in_axes=(None, 0)),
        arguments=(array(dtype="bool"), array(5, 8, 8)),
        lowered=Figures(macs=5 * SQUARE, flops=5 * 2 * SQUARE + 1, transcendentals=5 * 64),
    ),
    # The gradient of tanh takes 3 operations per element; of the product, two products, whose
    # results are added; one of the tanh's results is summed up.
    "cond, forward and backward": Construct(
        function=jax.value_and_grad(lambda x, flag: cond(flag, x).sum()),
        arguments=(X, array(dtype="bool")),
        lowered=Figures(macs=3 * SQUARE, flops=None, transcendentals=64),
    ),
}


@every(BRANCHES)
def test_branches(construct: Construct, stage: str) -> None:
    check(construct, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_how_often_a_branch_runs_is_unknown_and_its_spread_is_told(stage: str) -> None:
    """Six iterations, each of which may square and take the tanh, or only add one."""

    def run(x: Any) -> Any:
        return lax.fori_loop(0, 6, lambda i, v: cond(v[0, 0] > 0, v), x)

    analysis = analysed(run, X, stage=stage)
    totals = analysis.totals
    assert (totals.macs, totals.transcendentals) == (6 * SQUARE, 6 * 64)
    (branch,) = ops(analysis, "conditional")
    assert branch.executions == 6
    assert (branch.flops, branch.flops_lowest) == (6 * 2 * SQUARE, 6 * 64)
    assert totals.flops - totals.flops_lowest == 6 * (2 * SQUARE - 64)
    assert analysis.ops[analysis.ops.parent == branch.name].executions.isna().all()
    assert not totals.lower_bound


@pytest.mark.parametrize("stage", STAGES)
def test_a_loop_of_unknown_length_in_a_branch_makes_a_lower_bound(stage: str) -> None:
    def until(v: Any) -> Any:
        return lax.while_loop(lambda u: u.sum() < 100, lambda u: u @ u, v)

    analysis = analysed(lambda f, x: lax.cond(f, until, add_one, x), array(dtype="bool"), X,
                        stage=stage)  # fmt: skip
    assert analysis.totals.macs == SQUARE
    assert analysis.totals.lower_bound
