"""What starting things takes, by a clock that is made up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from edgegraph.device.calibration.launches import (
    measure_call,
    measure_leaves,
    measure_loop,
    measure_op_launch,
)


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


def ticks(*calls_us: float) -> Iterator[int]:
    """Return the times at which a clock is read before and after calls of such lengths."""
    return iter([time for us in calls_us for time in (0, round(us * 1000))])


def test_ops_in_a_loop_and_decisions_on_its_next_step_are_told_apart() -> None:
    """From 32 to 256 steps: 224 us more with 8 ops, 224 x 1.8 with 24, 224 x 1.3 if it decides."""
    loops = [(100.0, 100.0 + 224 * each) for each in (1.0, 1.8, 1.3)]
    clock = partial(next, ticks(*[us for loop in loops for us in loop for _ in range(5)]))
    launch_s, step_s = measure_loop(budget_s=1e-6, clock=clock)
    assert launch_s == pytest.approx(0.8e-6 / 16)
    assert step_s == pytest.approx(0.3e-6)


def test_an_argument_and_a_result_are_what_64_more_take_longer() -> None:
    clock = partial(next, ticks(*[5.0] * 5, *[5 + 64 * 0.3] * 5, *[5 + 64 * 0.9] * 5))
    found = measure_leaves(budget_s=1e-6, clock=clock)
    assert found == pytest.approx((0.3e-6, 0.9e-6), rel=1e-2)
