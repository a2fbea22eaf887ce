"""Rounds, turns and blocks, with a clock that the test moves."""

from __future__ import annotations

from functools import partial

import pytest

from edgegraph.measure.sampling import (
    MeasurementSettings,
    Series,
    plan_turns,
    sample_in_rounds,
    summarise,
)
from tests.measure.fake_clock import FakeClock, both


def _series(clock: FakeClock, *durations_s: float) -> list[Series]:
    return [Series(call=clock.call(duration), clock=clock) for duration in durations_s]


def test_rounds_treat_all_alike() -> None:
    clock = FakeClock()
    every = _series(clock, 0.002, 0.0001, 5e-6)
    sampling = sample_in_rounds(every, MeasurementSettings(), clock, rewarm=True)
    assert sampling.stopped_by == "stable"
    assert len({len(series.samples_s) for series in every}) == 1
    assert [series.samples_s[0] for series in every] == pytest.approx([0.002, 0.0001, 5e-6])


def test_rounds_come_in_random_but_repeatable_order() -> None:
    def order(seed: int) -> list[int]:
        clock = FakeClock()
        called: list[int] = []
        every = [
            Series(call=both(partial(called.append, name), clock.call(0.01)), clock=clock)
            for name in range(4)
        ]
        sample_in_rounds(every, MeasurementSettings(seed=seed), clock)
        return called

    assert order(1) == order(1) != order(2)


def test_a_round_is_planned_to_fit_ten_times() -> None:
    clock = FakeClock()
    every = _series(clock, 0.1, 0.05)
    for series in every:
        series.warm_up()
    turns = plan_turns(every, 10.0, rewarm=True)
    assert [turn.rewarming_calls for turn in turns] == [1, 1]
    assert [turn.samples for turn in turns] == [5, 5]  # a round of 0.15 + 5 * 0.15 s


def test_short_calls_are_warmed_for_two_milliseconds() -> None:
    clock = FakeClock()
    every = _series(clock, 0.0005, 20e-6)
    for series in every:
        series.warm_up()
    assert [turn.rewarming_calls for turn in plan_turns(every, 10.0, rewarm=True)] == [4, 20]
    assert [turn.rewarming_calls for turn in plan_turns(every, 10.0, rewarm=False)] == [0, 0]


def test_the_limit_bounds_many_series_together() -> None:
    clock = FakeClock()
    every = _series(clock, *[0.2] * 30)
    sampling = sample_in_rounds(every, MeasurementSettings(limit_s=15.0), clock, rewarm=True)
    assert sampling.stopped_by == "time limit"
    # The first calls and one round in any case: 30 calls of 0.2 s each.
    assert clock.now / 1e9 <= 15.0 + 2 * 6.0 + 0.4
    assert all(series.samples_s for series in every)


def test_what_comes_before_a_call_counts_for_the_plan_and_not_for_the_time() -> None:
    clock = FakeClock()

    def before() -> None:
        clock.now += 50_000_000

    series = Series(call=clock.call(4e-6), before=before, clock=clock)
    settings = MeasurementSettings(limit_s=3.0)
    sampling = sample_in_rounds([series], settings, clock)
    assert clock.now <= 3.5e9
    found = summarise(series, sampling)
    assert found.median_s == pytest.approx(4e-6)
    assert found.calls_per_sample == 1  # a block would time what comes between


def test_a_clock_of_the_tests_sees_no_other_processes() -> None:
    clock = FakeClock()
    assert sample_in_rounds(_series(clock, 0.01), MeasurementSettings(), clock).others_share is None
