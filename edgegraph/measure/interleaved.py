"""Timing many things in turns, so that what happens to the machine happens to all of them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from edgegraph.base.timing import NANOSECONDS_PER_S, Clock, Progress, garbage_collection_paused
from edgegraph.measure.sampling import STABLE, TIME_LIMIT, MeasurementSettings, Series

LEAST_ROUNDS = 10
"""Samples are spread over at least this many rounds where time allows."""

MOST_SAMPLES_A_TURN = 10

REWARM_S = 0.002
"""A turn begins with about this long of calls that count for nothing: calls of 20 to 600 us were
found 20 to 60 % slower at first, when others had just run, and settled within 1 to 2 ms."""

MOST_REWARMING_CALLS = 20

SMALL_SHARE = 0.01
"""Series below this share of a round's time need not hold still before sampling may end."""


def warm_up(every: Sequence[Series], settings: MeasurementSettings, clock: Clock) -> None:
    """Call everything in turns until it is warm, and choose the blocks of short calls.

    Args:
        every: What will be timed.
        settings: At least `warm_up_calls` each and `warm_up_s` in all, at most a third of
            `limit_s`, but one call each in any case.
        clock: Nanoseconds.
    """
    started = clock()
    calls = 0
    while True:
        for series in every:
            series.warm_up()
        calls += 1
        elapsed_s = (clock() - started) / NANOSECONDS_PER_S
        enough = calls >= settings.warm_up_calls and elapsed_s >= settings.warm_up_s
        if enough or elapsed_s >= settings.limit_s / 3:
            break
    for series in every:
        series.choose_block(settings)


def sample_in_rounds(
    every: Sequence[Series],
    settings: MeasurementSettings,
    clock: Clock,
    *,
    rewarm: bool,
    progress: Progress | None = None,
) -> str:
    """Start, warm up and sample everything, in random order in every round.

    In a round each series gets a turn of some samples. Sampling ends when every series has
    enough samples and all those that matter hold still, else at the time limit.

    Args:
        every: What to time; a KeyboardInterrupt leaves the samples taken so far in it.
        settings: How long and how carefully, for all series together; the seed of the order.
        clock: Nanoseconds.
        rewarm: Begin each turn with calls that count for nothing, because the others have
            driven its data out of the caches.
        progress: Called after each round.

    Returns:
        ``stable`` or ``time limit``.
    """
    shuffle = random.Random(settings.seed).shuffle
    with garbage_collection_paused():
        for series in every:
            series.start()
        started = clock()
        warm_up(every, settings, clock)
        sampling = clock()
        deadline = started + round(settings.limit_s * NANOSECONDS_PER_S)
        left_s = (deadline - sampling) / NANOSECONDS_PER_S
        turns = list(zip(every, plan_turns(every, left_s, rewarm=rewarm), strict=True))
        checked = 0
        while True:
            shuffle(turns)
            for series, turn in turns:
                for _ in range(turn.rewarming_calls):
                    series.touch()
                for _ in range(turn.samples):
                    series.sample()
                if clock() >= deadline and all(other.samples_s for other in every):
                    return TIME_LIMIT
            taken, now = min(len(series.samples_s) for series in every), clock()
            if progress is not None:
                share = (now - started) / (deadline - started)
                progress(f"timing: {taken} samples each", min(1.0, share))
            long_enough = now - sampling >= settings.minimum_s * NANOSECONDS_PER_S
            if long_enough and taken >= max(settings.minimum_samples, checked * 4 / 3):
                checked = taken
                if _hold_still(every, settings):
                    return STABLE


@dataclass(frozen=True, slots=True)
class Turn:
    """What one series does in one round."""

    rewarming_calls: int
    samples: int


def plan_turns(every: Sequence[Series], left_s: float, *, rewarm: bool) -> list[Turn]:
    """Plan the turns of a round, so that the time left holds at least ten rounds.

    Args:
        every: Warm series.
        left_s: Seconds left for all rounds.
        rewarm: Begin a turn with 2 ms of calls that count for nothing, but one at least and 20
            at most; with a single one where the time does not hold more.

    Returns:
        One turn for each series, all with the same number of samples, ten at most.
    """
    round_s = left_s / LEAST_ROUNDS
    sampling_s = max(sum(series.sample_cost_s for series in every), 1e-9)
    calls = [_rewarming_calls(series) if rewarm else 0 for series in every]
    rewarming_s = sum(count * series.typical_s for count, series in zip(calls, every, strict=True))
    if rewarming_s + sampling_s > round_s:
        calls = [min(count, 1) for count in calls]
    affordable = int((round_s - rewarming_s) / sampling_s)
    samples = max(1, min(affordable, MOST_SAMPLES_A_TURN))
    return [Turn(count, samples) for count in calls]


def _rewarming_calls(series: Series) -> int:
    wanted = math.ceil(REWARM_S / max(series.typical_s, 1e-9))
    return max(1, min(wanted, MOST_REWARMING_CALLS))


def _hold_still(every: Sequence[Series], settings: MeasurementSettings) -> bool:
    """Return whether the last three windows of every series that matters agree."""
    total = sum(series.typical_s for series in every)
    for series in every:
        if series.typical_s < SMALL_SHARE * total:
            continue
        spread = series.window_spread
        if spread is None or spread > settings.window_tolerance:
            return False
    return True
