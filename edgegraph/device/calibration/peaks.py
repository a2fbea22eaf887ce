"""Finding the best sustained rate of a set of probes, in rounds, so that noise is outlived.

A peak is an upper bound, so the best repetition counts, as in STREAM and the Empirical Roofline
Toolkit. A machine that does other things too is slow for seconds at a time, and on a shared one a
single call may find memory idle that is busy all day: all probes are therefore visited in rounds,
and the best rate that a second round confirms is the sustained one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgegraph.base.timing import NANOSECONDS_PER_S, Clock, Progress, monotonic_clock, no_progress

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


def _ranked(rates: Sequence[float]) -> Iterable[tuple[float, float]]:
    """Return each rate with the next lower one, best first."""
    return pairwise(sorted(rates, reverse=True))


def typical_shortfall(rates: Sequence[float]) -> float:
    """Return how far the typical round lies below the best one, as a share of the best."""
    return 1 - statistics.median(rates) / max(rates)


def _elapsed_s(started: int, clock: Clock) -> float:
    return (clock() - started) / NANOSECONDS_PER_S
