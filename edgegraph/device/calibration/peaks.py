"""Finding the best sustained rates in rounds, so that noise is outlived, and the memory levels.

A peak is an upper bound, so the best repetition counts, as in STREAM and the Empirical Roofline
Toolkit. A machine that does other things too is slow for seconds at a time, and on a shared one a
single call may find memory idle that is busy all day: all probes are therefore visited in rounds,
and the best rate that a second round confirms is the sustained one.

Memory levels are found in the way of the Empirical Roofline Toolkit, too: sweep the working set,
and read a level's bandwidth where the working set fits into it and no longer into the level above.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgegraph.base.timing import NANOSECONDS_PER_S, Clock, Progress, monotonic_clock, no_progress
from edgegraph.device.device import MemoryLevel
from edgegraph.device.host import Cache

_RESAMPLES = 400

DISPATCH = "dispatch"
"""Group of the probe that launches an executable which does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One kernel of known work that can be run and timed.

    Attributes:
        group: What its best rate is a candidate for: a dtype, a memory level, ``dispatch``.
        label: What it does, for people.
        work: FLOPs, bytes or calls in one run.
        run: Runs it once and returns the seconds that it took by a clock.
        working_set_bytes: Bytes that it touches over and over; None where that does not matter.
    """

    group: str
    label: str
    work: float
    run: Callable[[Clock], float]
    working_set_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The best rate of every round that a probe took part in, in work per second."""

    probe: Probe
    rates: tuple[float, ...]

    @property
    def best(self) -> float:
        """The best rate of all rounds."""
        return max(self.rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long and how often to try.

    Attributes:
        window_s: Time spent on a probe in a round,
        minimum_runs: and no fewer runs than this.
        full_rounds: Rounds in which every probe takes part; later ones leave out those whose
            rate is below `contender` of their group's best.
        minimum_rounds: Rounds before stopping.
        agreement: A rate is confirmed by another round within this share of it; rounds end when
            every group's best rate is confirmed.
        contender: See `full_rounds`.
        limit_s: Stop after this long, settled or not.
    """

    window_s: float = 0.06
    minimum_runs: int = 3
    full_rounds: int = 3
    minimum_rounds: int = 12
    agreement: float = 0.05
    contender: float = 0.7
    limit_s: float = 32.0


def sample(
    probes: Sequence[Probe],
    *,
    effort: Effort,
    clock: Clock = monotonic_clock,
    progress: Progress = no_progress,
) -> tuple[Sampled, ...]:
    """Run the probes in rounds until every group's best rate is settled or time is up.

    Each takes part in the first round at least.
    """
    started = clock()
    sampled = tuple(Sampled(probe=probe, rates=()) for probe in probes)
    rounds = 0
    while True:
        everyone = rounds < effort.full_rounds
        late = False
        after: list[Sampled] = []
        for one in sampled:
            late = rounds > 0 and _elapsed_s(started, clock) > effort.limit_s
            if late or not (everyone or is_contender(one, sampled, effort.contender)):
                after.append(one)
            else:
                rate = best_rate(one.probe, effort, clock)
                after.append(Sampled(probe=one.probe, rates=(*one.rates, rate)))
        sampled = tuple(after)
        rounds += 1
        time_used = _elapsed_s(started, clock) / effort.limit_s
        share = max(rounds / effort.minimum_rounds, time_used)
        progress(f"measuring peak rates, round {rounds}", min(share, 1.0))
        settled = all(
            is_settled(rates, effort.agreement) for rates in group_rounds(sampled).values()
        )
        if time_used > 1 or (rounds >= effort.minimum_rounds and settled):
            return sampled


def best_rate(probe: Probe, effort: Effort, clock: Clock) -> float:
    """Run a probe for one window and return its best rate, in work per second."""
    started = clock()
    fastest_s = float("inf")
    runs = 0
    while runs < effort.minimum_runs or _elapsed_s(started, clock) < effort.window_s:
        fastest_s = min(fastest_s, probe.run(clock))
        runs += 1
    return probe.work / fastest_s


def is_contender(one: Sampled, all_sampled: Iterable[Sampled], share: float) -> bool:
    """Return whether a probe may still give its group's best rate."""
    group_best = max(other.best for other in all_sampled if other.probe.group == one.probe.group)
    return one.best >= share * group_best


def group_rounds(sampled: Iterable[Sampled]) -> dict[str, tuple[float, ...]]:
    """Return each group's best rate of every round, groups in the order they first appear."""
    members: dict[str, list[Sampled]] = {}
    for one in sampled:
        members.setdefault(one.probe.group, []).append(one)
    return {
        group: tuple(
            max(one.rates[index] for one in ones if index < len(one.rates))
            for index in range(max(len(one.rates) for one in ones))
        )
        for group, ones in members.items()
    }


def is_settled(rates: Sequence[float], agreement: float) -> bool:
    """Return whether a second round came within `agreement` of the best one."""
    return sustained(rates, agreement) == max(rates) and is_confirmed(rates, agreement)


def is_confirmed(rates: Sequence[float], agreement: float) -> bool:
    """Return whether any two rounds lie within `agreement` of each other."""
    return any(second >= (1 - agreement) * first for first, second in _ranked(rates))


def sustained(rates: Sequence[float], agreement: float) -> float:
    """Return the best rate that a second round came within `agreement` of; the best if none did."""
    for first, second in _ranked(rates):
        if second >= (1 - agreement) * first:
            return first
    return max(rates)


def sustained_interval(rates: Sequence[float], agreement: float) -> tuple[float, float]:
    """Return the 95 % interval of the sustained rate: what other rounds like these would give.

    By the bootstrap: as many rounds are drawn from these with replacement, and the best rate that a
    second of them confirms is taken. No draw is better than the best round that was seen.
    """
    drawn = random.Random(0)
    found = sorted(
        sustained(drawn.choices(rates, k=len(rates)), agreement) for _ in range(_RESAMPLES)
    )
    tail = round(0.025 * _RESAMPLES)
    return found[tail], found[-1 - tail]


def _ranked(rates: Sequence[float]) -> Iterable[tuple[float, float]]:
    """Return each rate with the next lower one, best first."""
    return pairwise(sorted(rates, reverse=True))


def typical_shortfall(rates: Sequence[float]) -> float:
    """Return how far the typical round lies below the best one, as a share of the best."""
    return 1 - statistics.median(rates) / max(rates)


def _elapsed_s(started: int, clock: Clock) -> float:
    return (clock() - started) / NANOSECONDS_PER_S


KIB = 1024
MIB = 1024 * KIB
MAIN_MEMORY = "DRAM"

STREAM_FACTOR = 4
"""STREAM asks for arrays of at least four times the last-level cache."""

MAIN_MEMORY_FACTOR = 6
"""Sampled size over the last-level cache; at four times, replacement still keeps some lines."""

_SMALLEST = 16 * KIB
_LARGEST_UNGUIDED = 256 * MIB
_STEP_DOWN = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One sample of the curve: the best bandwidth seen, reads and writes together."""

    working_set_bytes: int
    bytes_per_s: float


def working_sets(caches: Sequence[Cache], memory_bytes: int | None) -> dict[str, tuple[int, ...]]:
    """Choose the working sets to sample, by memory level; the caches come fastest first.

    A cache is sampled from just above the level before it up to half of its own size, where
    little else evicts its lines; a cache without such a range is left out. Main memory is sampled
    at six times the last cache, or at less if that were over a sixteenth of the memory.
    """
    sets: dict[str, tuple[int, ...]] = {}
    above = 0
    for cache in caches:
        half = cache.size_bytes // 2
        start = above + above // 4 or half // 2
        if start < half:
            middle = round((start * half) ** 0.5)
            sets[cache.name] = (start, middle, half) if above else (start, half)
            above = cache.size_bytes
    last = caches[-1].size_bytes if caches else MIB
    size = last * MAIN_MEMORY_FACTOR
    if memory_bytes is not None:
        size = max(min(size, memory_bytes // 16), last + last // 4)
    sets[MAIN_MEMORY] = (size,)
    return sets


def unguided_working_sets(memory_bytes: int | None) -> tuple[int, ...]:
    """Choose the working sets to sample where the system does not tell its caches."""
    largest = _LARGEST_UNGUIDED
    if memory_bytes is not None:
        largest = min(largest, max(memory_bytes // 16, 16 * _SMALLEST))
    return tuple(_SMALLEST << doublings for doublings in range((largest // _SMALLEST).bit_length()))


def levels_from_curve(points: Iterable[Point], caches: Sequence[Cache]) -> tuple[MemoryLevel, ...]:
    """Read the bandwidth of every memory level off the curve; main memory comes last.

    A level gets the best rate among the working sets that fit in half of it and not in the level
    above. A level without points of its own is left out, and the next one covers its range. A
    larger level is never faster than a smaller one: what a larger working set reaches, a smaller
    one can. A ValueError says that no point lies beyond the last cache.
    """
    curve = sorted(points, key=lambda point: point.working_set_bytes)
    last = caches[-1].size_bytes if caches else 0
    beyond = [point for point in curve if point.working_set_bytes > last]
    if not beyond:
        raise ValueError(f"no working set beyond the last cache of {last} bytes was sampled")
    main = [p for p in beyond if p.working_set_bytes >= STREAM_FACTOR * last] or beyond[-1:]
    found: list[tuple[str, int | None, list[Point]]] = []
    above = 0
    for cache in caches:
        own = [p for p in curve if above < p.working_set_bytes <= cache.size_bytes // 2]
        if own:
            found.append((cache.name, cache.size_bytes, own))
            above = cache.size_bytes
    found.append((MAIN_MEMORY, None, main))
    levels: list[MemoryLevel] = []
    fastest = 0.0
    for name, size_bytes, own in reversed(found):
        fastest = max(fastest, *(point.bytes_per_s for point in own))
        level = MemoryLevel(name=name, size_bytes=size_bytes, bandwidth_bytes_per_s=fastest)
        levels.append(level)
    return tuple(reversed(levels))


def caches_from_curve(points: Iterable[Point]) -> tuple[Cache, ...]:
    """Find the caches as the plateaus of the curve, where the system does not tell them.

    A plateau ends where the rate falls below 70 % of its best; the last working set before the
    fall is the size of the cache. The points of a fall itself belong to no plateau.
    """
    plateaus = _envelope(points)
    sizes: list[int] = []
    falling = False
    best = 0.0
    for before, point in pairwise(plateaus):
        best = max(best, before.bytes_per_s)
        falls = point.bytes_per_s < _STEP_DOWN * best
        if falls and not falling:
            sizes.append(before.working_set_bytes)
        if falls:
            best = point.bytes_per_s
        falling = falls
    return tuple(
        Cache(name=f"L{level}", size_bytes=size, instances=1)
        for level, size in enumerate(sizes, start=1)
    )


def _envelope(points: Iterable[Point]) -> list[Point]:
    """Return the best rate at every working set; what a larger one reaches, a smaller one can."""
    rates: dict[int, float] = {}
    for point in sorted(points, key=lambda point: -point.working_set_bytes):
        reached = max(rates.values(), default=0.0)
        size = point.working_set_bytes
        rates[size] = max(reached, rates.get(size, 0.0), point.bytes_per_s)
    return [Point(working_set_bytes=size, bytes_per_s=rate) for size, rate in sorted(rates.items())]
