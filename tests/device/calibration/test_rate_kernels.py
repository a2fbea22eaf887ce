"""The work of the kernels that a calibration times, and the rates that follow."""

from __future__ import annotations

import math
from functools import partial

import jax
import pytest

from edgegraph.device.calibration.peak_kernels import DTYPES
from edgegraph.device.calibration.rate_kernels import (
    Case,
    cases,
    measure_call,
    measure_kernels,
    measure_op_launch,
)
from edgegraph.device.kernel_rates import FUNCTIONS, LOOPS


def test_a_kernel_is_timed_by_the_median_call_less_the_launch() -> None:
    def case(kind: str) -> Case:
        return next(each for each in cases() if each.kind == kind)

    ticks = iter(range(0, 10**15, 3_000_000))  # every call seems to take 3 ms
    found = measure_kernels(
        1e-3, chosen=[case("dot"), case("reduction")], budget_s=0.01, clock=lambda: next(ticks)
    )
    product, sum_ = found
    assert product.rate_per_s == pytest.approx(2 * 1 * 128 * 128 / 2e-3)
    assert sum_.rate_per_s == pytest.approx(sum_.rows / 2e-3)


def test_convolutions_count_as_xla_counts_them() -> None:
    # 3 x 3 on 32 x 32: 94 of 96 taps along each axis lie inside.
    (first,) = [c for c in cases() if c.sizes == (1024, 128, 1152) and c.dtype == "f32"]
    assert first.work == 2 * 94**2 * 128 * 128


def test_a_kernel_as_short_as_a_call_keeps_a_twentieth_of_its_time() -> None:
    copy = next(each for each in cases() if each.kind == "copy")
    ticks = iter(range(0, 10**15, 3_000_000))
    (found,) = measure_kernels(2.9e-3, chosen=[copy], budget_s=0.01, clock=lambda: next(ticks))
    assert found.rate_per_s == pytest.approx((1 << 14) / (0.05 * 3e-3))


def test_moves_count_what_is_read_and_written() -> None:
    # 16 x 16 x 64 numbers in, 8 x 8 x 64 out.
    pooling = next(each for each in cases() if each.kind == "pooling")
    assert pooling.work == pooling.sizes[0] == 4 * (16 * 16 * 64 + 8 * 8 * 64)
    for case in cases():
        if case.kind in ("elementwise", "copy", "reduction"):
            (shape,) = case.shapes
            read = 4 * math.prod(shape)
            written = 0 if case.kind == "reduction" else read
            assert case.work == read + written


def test_of_short_calls_the_quickest_counts() -> None:
    """Ten calls or less long, 3 ms beside 1 ms of a call; of long ones the one in the middle."""
    copy = next(each for each in cases() if each.kind == "copy")
    for unit_ms, net_ms in ((1, 3 - 1), (100, 500 - 1)):
        ends = [time for ms in (9, 3, 9, 5, 3) for time in (0, ms * unit_ms * 1_000_000)]
        clock = partial(next, iter(ends))
        (found,) = measure_kernels(1e-3, chosen=[copy], budget_s=0.01, clock=clock)
        assert found.rate_per_s == pytest.approx((1 << 14) / (net_ms * 1e-3))


def test_a_call_is_the_quickest_of_a_kernel_that_does_next_to_nothing() -> None:
    ticks = iter([time for us in (30, 10, 40, 10, 90) for time in (0, us * 1000)])
    assert measure_call(budget_s=1e-5, clock=lambda: next(ticks)) == pytest.approx(1e-5)


def test_launching_an_op_is_what_more_ops_take_longer() -> None:
    """5 calls of 64 pairs of ops, 1 ms each, then 5 of 256 pairs, 2 ms; some are disturbed."""
    taken_ms = [[9, 9, 1, 9, 1], [2, 99, 99, 2, 99]]
    ends = [time for each in taken_ms for ms in each for time in (0, ms * 1_000_000)]
    ticks = iter(ends)
    launch_s = measure_op_launch(budget_s=0.004, clock=lambda: next(ticks))
    assert launch_s == pytest.approx(1e-3 / (2 * 192))


def test_slow_functions_and_plain_loops_are_what_xla_runs() -> None:
    """XLA keeps each function as one op, and gives the products to no library."""
    seen = set()
    for case in cases():
        if case.kind not in FUNCTIONS + LOOPS or case.kind in seen:
            continue
        seen.add(case.kind)
        dtype = DTYPES[case.dtype][0]
        arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in case.shapes]
        compiled = jax.jit(case.function).lower(*arguments).compile().as_text() or ""
        assert f" {case.kind.removeprefix('loop-')}(" in compiled
        assert "kind=kCustom" not in compiled
        if case.kind in FUNCTIONS:
            assert case.work == case.sizes[0] == math.prod(case.shapes[0])
    assert seen == {*FUNCTIONS, *LOOPS}
