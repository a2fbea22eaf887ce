"""The rules of a measurement, with a clock that the test moves."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from functools import partial

import pytest

from edgegraph.measure.sampling import (
    MeasurementSettings,
    Sampling,
    Series,
    Window,
    plan_turns,
    sample_in_rounds,
    summarise,
)
from tests.measure.fake_clock import FakeClock, both, measure_latency


def test_a_steady_call() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(0.001, 0.25), clock=clock)
    assert latency.first_call_s == 0.25
    assert latency.median_s == latency.min_s == latency.p90_s == latency.p99_s == 0.001
    assert latency.mad_s == latency.relative_iqr == latency.drift == latency.uncertainty == 0.0
    assert latency.interval_s == (0.001, 0.001)
    assert latency.outliers == 0
    assert latency.dispatch_s is None
    assert latency.net_s is None
    assert (latency.verdict, latency.reasons) == ("OK", ())
    assert latency.stopped_by == "stable"
    assert latency.samples == len(latency.samples_s) == 1000  # one second
    assert clock.now == pytest.approx((0.25 + 0.5 + 1.0) * 1e9)


def test_a_slow_call_is_sampled_a_hundred_times() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(0.05), clock=clock)
    assert latency.samples == 100
    assert clock.now == pytest.approx((1 + 10 + 100) * 0.05e9)  # first, warm-up, samples
    assert latency.p90_s == 0.05
    assert latency.p99_s is None


def test_time_limit_holds_for_a_very_slow_call() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(2.0), clock=clock)
    assert latency.stopped_by == "time limit"
    assert latency.samples == 5  # 3 warm-up calls are a third of 15 s, and 5 more exceed it
    assert clock.now == pytest.approx((1 + 3 + 5) * 2.0e9)
    assert latency.verdict == "INVALID"
    assert latency.reasons == ("5 samples, fewer than 6",)


def test_one_sample_is_taken_in_any_case() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(100.0), clock=clock)
    assert (latency.samples, latency.verdict) == (1, "INVALID")
    assert latency.interval_s is None


def test_calls_below_ten_microseconds_are_timed_in_blocks() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(4e-6), clock=clock)
    assert latency.calls_per_sample == 25  # 100 us
    assert latency.median_s == pytest.approx(4e-6)
    assert latency.p90_s is None
    assert latency.samples == 10_000


def test_calls_of_ten_microseconds_are_timed_one_by_one() -> None:
    clock = FakeClock()
    assert measure_latency(clock.call(10e-6), clock=clock).calls_per_sample == 1


def test_a_call_that_gets_slower_and_slower_is_never_known() -> None:
    clock = FakeClock()
    slower = (0.001 * 1.001**count for count in itertools.count())
    latency = measure_latency(clock.call(slower), clock=clock)
    assert latency.stopped_by == "time limit"
    assert clock.now == pytest.approx(15e9, rel=0.01)
    assert latency.verdict == "INVALID"
    assert latency.drift > 0.05
    assert "only, not to 5 %" in latency.reasons[0]
    assert "slower than the first" in latency.reasons[1]


def test_sampling_goes_on_until_the_median_is_known() -> None:
    """Calls are 50 % slower for warm-up and 400 samples: as long as these are the half, the drift
    alone is 50 %."""
    clock = FakeClock()
    steps = itertools.chain(itertools.repeat(0.0015, 1 + 334 + 400), itertools.repeat(0.001))
    latency = measure_latency(clock.call(steps), clock=clock)
    assert latency.stopped_by == "stable"
    assert latency.samples > 2 * 400
    assert latency.median_s == 0.001
    assert (latency.verdict, latency.uncertainty <= 0.05) == ("OK", True)


def test_bimodal_calls_are_known_to_the_middle_between_them() -> None:
    """The median of two even halves may be either: 0.0012 over 0.001 is 20 %."""
    clock = FakeClock()
    latency = measure_latency(clock.call(itertools.cycle([0.001, 0.0012])), clock=clock)
    assert latency.relative_iqr == pytest.approx(0.2 / 1.1)
    assert latency.interval_s is not None
    assert 0.001 <= latency.interval_s[0] <= latency.median_s <= latency.interval_s[1] <= 0.0012


def window(end: int, others: float | None = 0.0, clock_hz: float | None = None) -> Window:
    return Window(end=end, others_share=others, clock_hz=clock_hz)


@pytest.mark.parametrize(
    ("windows", "kept"),
    [
        ([], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        ([window(2), window(4, 0.11), window(6)], [1.0, 2.0, 5.0, 6.0, 7.0]),
        ([window(2), window(4, 0.10), window(6, None)], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        # More than half of them are spoiled: all count.
        ([window(2), window(4, 0.5), window(6, 0.5)], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        # The clock rate is 6 % under its median, 4 % over it.
        (
            [window(2, clock_hz=3e9), window(4, clock_hz=2.82e9), window(6, clock_hz=3.12e9)],
            [1.0, 2.0, 5.0, 6.0, 7.0],
        ),
    ],
)
def test_spoiled_windows_are_left_out(windows: list[Window], kept: list[float]) -> None:
    series = Series(call=lambda: None, clock=FakeClock())
    series.samples_s = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    sampling = Sampling(settings=MeasurementSettings(), stopped_by="stable", windows=windows)
    assert sampling.kept(series) == kept
    found = summarise(series, sampling)
    assert found.samples == len(kept)
    assert (found.windows, found.spoiled_windows) == (len(windows), int(len(kept) < 7))


def test_where_most_windows_are_spoiled_the_verdict_says_so() -> None:
    series = Series(call=lambda: None, clock=FakeClock())
    series.samples_s = [1.0] * 30
    windows = [window(10, 0.3), window(20, 0.3), window(30, 0.0)]
    sampling = Sampling(settings=MeasurementSettings(), stopped_by="stable", windows=windows)
    found = summarise(series, sampling)
    assert found.verdict == "NOISY"
    assert found.others_share == pytest.approx(0.2)
    assert found.reasons == ("other processes took 20 % of the cores' time, more than 10 %",)


def test_windows_last_a_fifth_of_a_second() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(0.01), clock=clock)  # turns of ten samples, 0.1 s
    assert (latency.samples, latency.windows, latency.spoiled_windows) == (100, 5, 0)


def test_outliers_are_counted_and_kept() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(itertools.cycle([0.001] * 99 + [0.1])), clock=clock)
    assert latency.outliers == sum(sample > 0.001 for sample in latency.samples_s) > 0
    assert latency.median_s == 0.001


def test_the_dispatch_floor_is_taken_in_turns() -> None:
    clock = FakeClock()
    order: list[str] = []

    def named(name: str, duration_s: float) -> Callable[[], object]:
        return both(lambda: order.append(name), clock.call(duration_s))

    latency = measure_latency(named("call", 0.001), null_call=named("null", 20e-6), clock=clock)
    assert latency.dispatch_s == 20e-6
    assert latency.net_s == pytest.approx(0.00098)
    assert abs(order.count("call") - order.count("null")) <= 10
    runs = [len(list(run)) for _, run in itertools.groupby(order)]
    assert max(runs) <= 20  # two turns of ten samples after one another


def test_results_are_handed_on_outside_the_timed_part() -> None:
    clock = FakeClock()
    seen: list[object] = []

    def after(result: object) -> None:
        seen.append(result)
        clock.now += 1_000_000

    latency = measure_latency(clock.call(5e-6), after=after, clock=clock)
    assert latency.median_s == 5e-6
    assert latency.calls_per_sample == 1  # a block would time `after` as well
    assert seen == list(range(1, len(seen) + 1))


def test_garbage_is_not_collected_while_sampling() -> None:
    clock = FakeClock()
    enabled: set[bool] = set()
    call = both(lambda: enabled.add(gc.isenabled()), clock.call(0.01))
    measure_latency(call, clock=clock)
    assert enabled == {False}
    assert gc.isenabled()


@pytest.mark.parametrize("interrupted_call", [1, 5, 80])
def test_interruption_passes_through_and_leaves_no_trace(interrupted_call: int) -> None:
    clock = FakeClock()
    call = clock.call(0.05)

    def interrupted() -> None:
        if call() == interrupted_call:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_latency(interrupted, clock=clock)
    assert gc.isenabled()


def test_progress_runs_from_zero_to_one() -> None:
    clock = FakeClock()
    reports: list[tuple[str, float | None]] = []
    measure_latency(clock.call(0.01), clock=clock, progress=lambda *report: reports.append(report))
    fractions = [fraction for _, fraction in reports if fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[0] > 0.0
    assert fractions[-1] <= 1.0
    assert reports[0][0] == "timing: 10 samples each"


def test_quick_settings_stop_soon() -> None:
    clock = FakeClock()
    latency = measure_latency(clock.call(0.02), clock=clock, settings=MeasurementSettings.quick())
    assert latency.samples == 70  # turns of ten until there are 64
    assert latency.p90_s is not None
    clock = FakeClock()
    measure_latency(clock.call(0.2), clock=clock, settings=MeasurementSettings.quick())
    assert clock.now <= 3.5e9


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


@pytest.mark.parametrize(("share", "stopped_by"), [(0.03, "time limit"), (0.003, "stable")])
def test_only_what_takes_a_hundredth_of_the_time_has_to_hold_still(
    share: float, stopped_by: str
) -> None:
    """Beside a steady call of 10 ms, one that gets slower by half a percent every time."""
    clock = FakeClock()
    slower = (share * 0.01 * 1.005**count for count in itertools.count())
    every = [*_series(clock, 0.01), Series(call=clock.call(slower), clock=clock)]
    sampling = sample_in_rounds(every, MeasurementSettings(limit_s=3.0), clock)
    assert sampling.stopped_by == stopped_by
