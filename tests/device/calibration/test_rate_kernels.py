"""The work of the kernels that a calibration times, and the rates that follow."""

from __future__ import annotations

import math
from functools import partial

import jax
import pytest

import edgegraph as eg
from edgegraph.device.calibration.peak_kernels import DTYPES
from edgegraph.device.calibration.rate_kernels import (
    Case,
    cases,
    measure_kernels,
)
from edgegraph.device.kernel_rates import FUNCTIONS, LOOPS, TIMED_APART


def test_a_kernel_is_timed_by_its_call_less_the_launch() -> None:
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
    """Below a millisecond; of longer ones the first quartile, beside 0.1 ms of a call."""
    copy = next(each for each in cases() if each.kind == "copy")
    for unit_ms, net_ms in ((0.1, 0.2 - 0.1), (100, 300 - 0.1)):
        ends = [time for ms in (9, 2, 9, 5, 3) for time in (0, round(ms * unit_ms * 1_000_000))]
        clock = partial(next, iter(ends))
        (found,) = measure_kernels(1e-4, chosen=[copy], budget_s=0.001, clock=clock)
        assert found.rate_per_s == pytest.approx((1 << 14) / (net_ms * 1e-3))


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


def test_every_kind_that_is_timed_apart_is_timed() -> None:
    assert {*TIMED_APART} <= {case.kind for case in cases()}


def test_the_work_of_a_chain_is_what_it_does_beyond_its_base() -> None:
    """72 repetitions take 9 ms each time, 8 of them 1 ms."""
    case = next(each for each in cases() if each.kind == "arithmetic")
    assert case.base is not None
    ends = [time for ms in (9, 9, 9, 9, 9, 1, 1, 1, 1, 1) for time in (0, ms * 1_000_000)]
    (found,) = measure_kernels(1e-3, chosen=[case], budget_s=0.001, clock=partial(next, iter(ends)))
    # A product, a sum and a maximum of each value.
    assert found.rate_per_s == pytest.approx(64 * 3 * case.sizes[0] / 8e-3)


def test_chains_and_libraries_do_the_work_that_they_count() -> None:
    for case in cases():
        if case.kind not in ("arithmetic", "tanh", "library-arithmetic", "fft", "sort", "lapack"):
            continue
        arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in case.shapes]
        work = [0, 0]
        for number, function in enumerate((case.base, case.function)):
            if function is not None:
                totals = eg.analyze(function, args=arguments, name=case.kind).totals
                is_function = case.kind == "tanh"
                work[number] = totals.transcendentals if is_function else totals.flops
        # Around a library's call a few operations for each value make its input.
        around = 3 * math.prod(case.shapes[0]) + 3
        assert work[0] + case.work <= work[1] <= work[0] + case.work + around, case
