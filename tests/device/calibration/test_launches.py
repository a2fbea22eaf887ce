"""What starting things takes, by a clock that is made up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from edgegraph.device.calibration.launches import (
    measure_call,
    measure_leaves,
    measure_loop_step,
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


def test_a_step_of_a_loop_is_what_its_ops_do_not_take() -> None:
    """32 steps take 100 us, and 256 of them 324: 1 us each, of which 11 launches take 0.55."""
    clock = partial(next, ticks(*[100.0] * 5, *[324.0] * 5))
    step_s = measure_loop_step(50e-9, budget_s=1e-6, clock=clock)
    assert step_s == pytest.approx(1e-6 - 11 * 50e-9)


def test_an_argument_and_a_result_are_what_64_more_take_longer() -> None:
    clock = partial(next, ticks(*[5.0] * 5, *[5 + 64 * 0.3] * 5, *[5 + 64 * 0.9] * 5))
    found = measure_leaves(budget_s=1e-6, clock=clock)
    assert found == pytest.approx((0.3e-6, 0.9e-6), rel=1e-2)
