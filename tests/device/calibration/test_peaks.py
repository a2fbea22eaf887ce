from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.base.timing import Clock
from edgegraph.device.calibration.peaks import (
    Effort,
    Probe,
    Sampled,
    best_rate,
    group_rounds,
    is_confirmed,
    is_contender,
    is_settled,
    sample,
    sustained,
    typical_shortfall,
)


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> int:
        return round(self.now_s * 1e9)


def probe(clock: FakeClock, group: str, seconds: Sequence[float], work: float = 1.0) -> Probe:
    """Return a probe whose runs take these times in turn, the last one for ever."""
    waiting = list(seconds)

    def run(_: Clock) -> float:
        taken = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        clock.now_s += taken
        return taken

    return Probe(group=group, label=group, work=work, run=run)


ONE_RUN = Effort(window_s=0.0, minimum_runs=1, minimum_rounds=2, agreement=0.03, limit_s=100.0)


def sampled(group: str, *rates: float) -> Sampled:
    return Sampled(probe=probe(FakeClock(), group, [1.0]), rates=rates)


def test_best_rate_is_work_over_the_fastest_run() -> None:
    clock = FakeClock()
    effort = Effort(window_s=0.0, minimum_runs=3)
    assert best_rate(probe(clock, "f32", [4.0, 2.0, 3.0, 1.0], work=8.0), effort, clock) == 4.0


def test_a_window_is_filled() -> None:
    clock = FakeClock()
    best_rate(probe(clock, "f32", [0.5]), Effort(window_s=3.0, minimum_runs=1), clock)
    assert clock.now_s == 3.0


def test_sampling_goes_on_until_a_second_round_agrees() -> None:
    clock = FakeClock()
    # The best run, 1 s, comes once in the second round; 1.02 s in the fifth confirms it.
    times = [2.0, 1.0, 2.0, 1.5, 1.02, 3.0]
    (result,) = sample([probe(clock, "f32", times)], effort=ONE_RUN, clock=clock)
    assert result.rates == pytest.approx((1 / 2, 1, 1 / 2, 1 / 1.5, 1 / 1.02))
    assert result.best == 1.0


def test_sampling_ends_when_time_is_up() -> None:
    clock = FakeClock()
    effort = Effort(window_s=0.0, minimum_runs=1, minimum_rounds=2, limit_s=10.0)
    never_settled = probe(clock, "f32", [2.0**-n for n in range(-3, 60)])
    slow = probe(clock, "bf16", [3.0])
    first, second = sample([never_settled, slow], effort=effort, clock=clock)
    assert clock.now_s <= 8 + 3 + 4
    assert len(first.rates) >= len(second.rates) >= 1


def test_every_probe_takes_part_once_even_if_time_is_up() -> None:
    clock = FakeClock()
    effort = Effort(window_s=0.0, minimum_runs=1, limit_s=1.0)
    results = sample([probe(clock, name, [5.0]) for name in "abc"], effort=effort, clock=clock)
    assert [len(result.rates) for result in results] == [1, 1, 1]


def test_hopeless_probes_drop_out_after_the_full_rounds() -> None:
    clock = FakeClock()
    effort = Effort(
        window_s=0.0, minimum_runs=1, full_rounds=2, minimum_rounds=5, contender=0.8, limit_s=1e3
    )
    fast, close, slow, other = sample(
        [
            probe(clock, "f32", [1.0]),
            probe(clock, "f32", [1.2]),
            probe(clock, "f32", [2.0]),
            probe(clock, "DRAM", [9.0]),
        ],
        effort=effort,
        clock=clock,
    )
    assert [len(one.rates) for one in (fast, close, slow, other)] == [5, 5, 2, 5]


def test_progress_rises_to_one() -> None:
    clock = FakeClock()
    seen: list[tuple[str, float | None]] = []
    effort = Effort(window_s=0.0, minimum_runs=1, minimum_rounds=4, limit_s=100.0)
    sample(
        [probe(clock, "f32", [1.0])],
        effort=effort,
        clock=clock,
        progress=lambda message, share: seen.append((message, share)),
    )
    assert [share for _, share in seen] == [0.25, 0.5, 0.75, 1.0]
    assert seen[-1][0] == "measuring peak rates, round 4"


def test_group_rounds_takes_the_best_member_of_every_round() -> None:
    rounds = group_rounds(
        [sampled("f32", 1.0, 5.0), sampled("DRAM", 7.0), sampled("f32", 2.0, 3.0, 4.0)]
    )
    assert rounds == {"f32": (2.0, 5.0, 4.0), "DRAM": (7.0,)}


def test_contenders_are_judged_within_their_group() -> None:
    ones = [sampled("f32", 10.0), sampled("f32", 7.0), sampled("DRAM", 1.0)]
    assert [is_contender(one, ones, 0.8) for one in ones] == [True, False, True]


@given(st.lists(st.floats(1.0, 1e12), min_size=1, max_size=20), st.floats(0.0, 0.5))
def test_the_sustained_rate_was_seen_and_confirmed(rates: list[float], agreement: float) -> None:
    rate = sustained(rates, agreement)
    assert rate in rates
    if is_confirmed(rates, agreement):
        close = [other for other in rates if (1 - agreement) * rate <= other <= rate]
        assert len(close) >= 2
    else:
        assert rate == max(rates)
    if is_settled(rates, agreement):
        assert rate == max(rates)


def test_spread_of_equal_rounds_is_zero() -> None:
    assert typical_shortfall([3.0, 3.0, 3.0]) == 0.0
