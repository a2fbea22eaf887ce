from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.base.timing import Clock
from edgegraph.device.calibration.peaks import (
    KIB,
    MIB,
    Effort,
    Point,
    Probe,
    Sampled,
    best_rate,
    caches_from_curve,
    group_rounds,
    is_confirmed,
    is_contender,
    is_settled,
    levels_from_curve,
    sample,
    sustained,
    sustained_interval,
    typical_shortfall,
    unguided_working_sets,
    working_sets,
)
from edgegraph.device.host import Cache


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


CACHES = (
    Cache(name="L1", size_bytes=96 * KIB, instances=2),
    Cache(name="L2", size_bytes=2 * MIB, instances=2),
    Cache(name="L3", size_bytes=32 * MIB, instances=1),
)


def curve(rates_by_kib: dict[int, float]) -> list[Point]:
    return [
        Point(working_set_bytes=kib * KIB, bytes_per_s=rate) for kib, rate in rates_by_kib.items()
    ]


def test_each_level_reads_its_own_part_of_the_curve() -> None:
    points = curve(
        {
            24: 400.0, 48: 420.0,  # fit in half of L1
            80: 300.0,  # between: belongs to no level
            350: 250.0, 1024: 260.0,  # in half of L2, not in L1
            6000: 150.0, 16384: 140.0,  # in half of L3, not in L2
            32768: 100.0, 65536: 90.0,  # too close to L3
            131072: 50.0, 262144: 52.0,  # four times L3 and more
        }
    )  # fmt: skip
    levels = levels_from_curve(points, CACHES)
    assert [(level.name, level.size_bytes, level.bandwidth_bytes_per_s) for level in levels] == [
        ("L1", 96 * KIB, 420.0),
        ("L2", 2 * MIB, 260.0),
        ("L3", 32 * MIB, 150.0),
        ("DRAM", None, 52.0),
    ]


def test_a_larger_level_that_seems_faster_lifts_the_smaller_ones() -> None:
    levels = levels_from_curve(curve({48: 200.0, 1024: 180.0, 16384: 220.0, 131072: 50.0}), CACHES)
    assert [level.bandwidth_bytes_per_s for level in levels] == [220.0, 220.0, 220.0, 50.0]


def test_a_level_without_points_is_left_out_and_the_next_covers_its_range() -> None:
    levels = levels_from_curve(curve({48: 400.0, 6000: 150.0, 131072: 50.0}), CACHES)
    assert [level.name for level in levels] == ["L1", "L3", "DRAM"]
    levels = levels_from_curve(curve({1024: 260.0, 131072: 50.0}), CACHES[::2])
    assert [(level.name, level.bandwidth_bytes_per_s) for level in levels] == [
        ("L3", 260.0),
        ("DRAM", 50.0),
    ]


def test_main_memory_takes_the_largest_point_where_memory_is_short() -> None:
    levels = levels_from_curve(curve({48: 400.0, 40_000: 70.0, 64_000: 60.0}), CACHES)
    assert levels[-1].bandwidth_bytes_per_s == 60.0


def test_a_curve_that_ends_inside_the_caches_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the last cache of 33554432 bytes"):
        levels_from_curve(curve({48: 400.0, 1024: 200.0}), CACHES)


def test_a_machine_without_caches_has_main_memory() -> None:
    (level,) = levels_from_curve(curve({16: 3.0, 1024: 2.0}), ())
    assert (level.name, level.size_bytes, level.bandwidth_bytes_per_s) == ("DRAM", None, 3.0)


@given(st.dictionaries(st.integers(1, 500_000), st.floats(1.0, 1e12), min_size=1, max_size=30))
def test_levels_are_always_ordered(rates_by_kib: dict[int, float]) -> None:
    levels = levels_from_curve(curve({**rates_by_kib, 500_001: 10.0}), CACHES)
    for smaller, larger in pairwise(levels):
        assert smaller.bandwidth_bytes_per_s >= larger.bandwidth_bytes_per_s
        assert smaller.size_bytes is not None
        assert larger.size_bytes is None or smaller.size_bytes < larger.size_bytes
    assert levels[-1].name == "DRAM"


def test_working_sets_lie_in_their_level() -> None:
    sets = working_sets(CACHES, 24 * 1024 * MIB)
    above = 0
    for cache in CACHES:
        assert all(above < size <= cache.size_bytes // 2 for size in sets[cache.name])
        above = cache.size_bytes
    assert sets["DRAM"] == (6 * 32 * MIB,)


def test_working_sets_spare_the_memory() -> None:
    assert working_sets(CACHES, 1024 * MIB)["DRAM"] == (64 * MIB,)
    assert working_sets(CACHES, 100 * MIB)["DRAM"] == (40 * MIB,)
    assert max(unguided_working_sets(1024 * MIB)) == 64 * MIB
    assert max(unguided_working_sets(None)) == 256 * MIB


def test_a_cache_hardly_larger_than_the_one_above_has_no_working_set() -> None:
    caches = (
        Cache(name="L1", size_bytes=128 * KIB, instances=2),
        Cache(name="L2", size_bytes=256 * KIB, instances=1),
    )
    assert list(working_sets(caches, None)) == ["L1", "DRAM"]


def test_caches_show_as_plateaus() -> None:
    # Read bandwidths of a two-core server, by a C program; the fall from L3 takes two points.
    measured = {
        16: 790.5, 32: 771.5, 64: 799.8, 128: 296.4, 256: 294.0, 512: 291.6, 1024: 325.8,
        2048: 228.7, 4096: 193.4, 8192: 190.9, 16384: 171.3, 32768: 109.4, 65536: 46.5,
        131072: 41.8, 262144: 40.9,
    }  # fmt: skip
    found = caches_from_curve(curve(measured))
    assert [cache.name for cache in found] == ["L1", "L2", "L3"][: len(found)]
    # 96 KiB of L1 and 32 MiB of L3 show as the last powers of two that fit.
    assert found[0].size_bytes == 64 * KIB
    assert found[-1].size_bytes == 16 * MIB


def test_a_flat_curve_has_no_caches() -> None:
    assert caches_from_curve(curve({16: 5.0, 1024: 4.9, 65536: 5.1})) == ()


def test_a_slower_kernel_at_the_same_working_set_is_no_step() -> None:
    fast, slow = curve({16: 100.0, 64: 100.0, 256: 90.0}), curve({16: 50.0, 64: 40.0, 256: 30.0})
    assert caches_from_curve(fast + slow) == ()


@given(st.lists(st.tuples(st.integers(1, 500_000), st.floats(1.0, 1e12)), min_size=1, max_size=40))
def test_a_curve_of_any_shape_gives_levels(samples: list[tuple[int, float]]) -> None:
    points = [Point(working_set_bytes=size, bytes_per_s=rate) for size, rate in samples]
    levels = levels_from_curve(points, caches_from_curve(points))
    assert levels[-1].name == "DRAM"
    assert levels[0].bandwidth_bytes_per_s <= max(rate for _, rate in samples)


@pytest.mark.parametrize(("share", "sizes"), [(0.69, [32 * KIB]), (0.71, [])])
def test_a_plateau_ends_where_the_rate_falls_below_seven_tenths(
    share: float, sizes: list[int]
) -> None:
    found = caches_from_curve(curve({16: 100.0, 32: 100.0, 64: 100.0 * share, 128: 100.0 * share}))
    assert [cache.size_bytes for cache in found] == sizes


def test_an_interval_of_a_sustained_rate_holds_it_and_no_rate_unseen() -> None:
    assert sustained_interval((100.0, 100.0, 100.0), 0.05) == (100.0, 100.0)
    low, high = sustained_interval((100.0, 99.0, 98.0, 60.0, 60.0, 60.0), 0.05)
    assert (low, high) == (60.0, 100.0)  # one draw in 64 has none of the three best
