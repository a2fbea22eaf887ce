"""Taking samples of many things in turns, so that what happens to the machine happens to all."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgegraph.base.timing import (
    NANOSECONDS_PER_S,
    Clock,
    Progress,
    collector_paused,
    monotonic_clock,
    no_progress,
)
from edgegraph.device import host
from edgegraph.device.host import OtherProcesses
from edgegraph.measure import statistics
from edgegraph.results.timing import WARM, Latency
from edgegraph.results.verdicts import KNOWN_TO

STABLE = "stable"
TIME_LIMIT = "time limit"

LEAST_ROUNDS = 10
"""Samples are spread over at least this many rounds where time allows."""

MOST_SAMPLES_A_TURN = 10

REWARM_S = 0.002
"""A turn begins with about this long of calls that count for nothing: calls of 20 to 600 us were
found 20 to 60 % slower at first, when others had just run, and settled within 1 to 2 ms."""

MOST_REWARMING_CALLS = 20

WINDOW_S = host.LEAST_WALL_S
"""What else happens on the machine is looked at for every so long."""

SLOWED = 0.05
"""A window in which the clock rate was further than this from its median is spoiled."""

SMALL_SHARE = 0.01
"""Series below this share of a round's time need not hold still before sampling may end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSettings:
    """How long and how carefully to measure.

    Attributes:
        warm_up_calls: At least this many calls before the first sample,
        warm_up_s: and for at least this long, but no longer than a third of `limit_s`.
        minimum_samples: Do not stop before this many samples,
        minimum_s: and this many seconds of sampling,
        known_to: and before the median is known to this share of itself, with 95 % confidence.
        limit_s: Stop anyway after this long, warm-up included.
        budget_s: What compiling layers alone and timing them may take together, about; where that
            is too little for every scope by itself, larger pieces are timed.
        block_below_s: Time calls shorter than this in blocks,
        block_s: of about this length.
        seed: Of the random order in which layers are timed.

    Example:
        >>> MeasurementSettings().limit_s, MeasurementSettings.quick().limit_s
        (15.0, 3.0)
    """

    warm_up_calls: int = 10
    warm_up_s: float = 0.5
    minimum_samples: int = 100
    minimum_s: float = 1.0
    known_to: float = KNOWN_TO
    limit_s: float = 15.0
    budget_s: float = 20.0
    block_below_s: float = 10e-6
    block_s: float = 100e-6
    seed: int = 0

    @classmethod
    def quick(cls) -> MeasurementSettings:
        """Return settings for a first look: 64 samples, as many as a p90 needs, in at most 3 s."""
        return cls(warm_up_s=0.1, minimum_samples=64, minimum_s=0.3, limit_s=3.0, budget_s=8.0)


@dataclass(slots=True, kw_only=True)
class Series:
    """The timed calls of one thing, and the only state of a measurement.

    What is called `before` every call, or handed every result `after` it, is not timed; with either
    there are no blocks. Samples are per call, also where `choose_block` found calls too short.
    """

    call: Callable[[], object]
    clock: Clock
    before: Callable[[], None] | None = None
    after: Callable[[object], None] | None = None
    first_call_s: float = 0.0
    calls_per_sample: int = 1
    samples_s: list[float] = field(default_factory=list)
    _warm_s: list[float] = field(default_factory=list)
    _cost_s: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Make and time the very first call."""
        self.first_call_s = self.time_call()

    def warm_up(self) -> None:
        """Make one call that counts for nothing but the choice of the block."""
        started = self.clock()
        self._warm_s.append(self.time_call())
        self._cost_s.append((self.clock() - started) / NANOSECONDS_PER_S)

    def choose_block(self, settings: MeasurementSettings) -> None:
        """Time blocks of calls from now on if the warm-up's calls were too short for one."""
        alone = self.before is None and self.after is None
        if alone and self.typical_s < settings.block_below_s:
            calls = round(settings.block_s / max(self.typical_s, 1e-9))
            self.calls_per_sample = max(2, calls)

    def sample(self) -> None:
        """Take one sample."""
        if self.calls_per_sample == 1:
            self.samples_s.append(self.time_call())
            return
        call, clock = self.call, self.clock
        started = clock()
        for _ in range(self.calls_per_sample):
            call()
        elapsed = clock() - started
        self.samples_s.append(elapsed / (NANOSECONDS_PER_S * self.calls_per_sample))

    @property
    def typical_s(self) -> float:
        """Median call of the warm-up."""
        return statistics.median(self._warm_s)

    @property
    def sample_cost_s(self) -> float:
        """About how long it takes to take a sample, with what comes before and after a call."""
        return statistics.median(self._cost_s) * self.calls_per_sample

    def time_call(self) -> float:
        """Make one call and return how long it took."""
        call, clock = self.call, self.clock
        if self.before is not None:
            self.before()
        started = clock()
        result = call()
        elapsed = clock() - started
        if self.after is not None:
            self.after(result)
        # The result is freed here, outside the timed part.
        return elapsed / NANOSECONDS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rounds of sampling, one after the other, for about 0.2 s.

    Attributes:
        end: How many samples of every series there were at its end.
        others_share: Share of the cores' time that other processes, or a hypervisor, took.
        clock_hz: Clock rate at its end.
    """

    end: int
    others_share: float | None
    clock_hz: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How some series were sampled together, and what else the machine did in every window.

    A window is spoiled where others took over a tenth of the cores' time, or where the clock rate
    was over 5 % from its median. Spoiled windows are left out, unless they are more than half: then
    all count, and the verdict says why they are noisy.
    """

    settings: MeasurementSettings
    stopped_by: str
    windows: Sequence[Window] = ()

    @property
    def spoiled(self) -> list[bool]:
        """Which windows are left out."""
        rates = [window.clock_hz for window in self.windows if window.clock_hz is not None]
        usual = statistics.median(rates) if rates else 0.0
        found = [
            (window.others_share or 0.0) > host.NOISY_OTHERS
            or abs((window.clock_hz or usual) - usual) > SLOWED * usual
            for window in self.windows
        ]
        return [False] * len(found) if 2 * sum(found) > len(found) else found

    @property
    def others_share(self) -> float | None:
        """Mean of the others' shares in the windows that count; None where none is known."""
        shares = [
            window.others_share
            for window, spoiled in zip(self.windows, self.spoiled, strict=True)
            if window.others_share is not None and not spoiled
        ]
        return sum(shares) / len(shares) if shares else None

    def kept(self, series: Series) -> list[float]:
        """Return the samples of a series that count; what is after the last window does."""
        kept: list[float] = []
        start = 0
        for window, spoiled in zip(self.windows, self.spoiled, strict=True):
            kept += [] if spoiled else series.samples_s[start : window.end]
            start = window.end
        return kept + series.samples_s[start:]


class Watch:
    """Looks at the machine while samples are taken, and ends the windows."""

    def __init__(self, clock: Clock) -> None:
        # Nothing of the machine is seen by any clock but its own.
        self._sees = clock is monotonic_clock
        self._clock, self._since = clock, clock()
        self._others = OtherProcesses().__enter__()
        self.windows: list[Window] = []

    def look(self, samples: int) -> None:
        """End the window where it is long enough; there are so many samples of every series."""
        now = self._clock()
        if now - self._since >= WINDOW_S * NANOSECONDS_PER_S:
            share = self._others.lap() if self._sees else None
            rate = host.clock_hz(host.usable_cores()) if self._sees else None
            self.windows.append(Window(end=samples, others_share=share, clock_hz=rate))
            self._since = now


def warm_up(every: Sequence[Series], settings: MeasurementSettings, clock: Clock) -> None:
    """Call everything in turns until it is warm, and choose the blocks of short calls.

    That takes `warm_up_calls` each and `warm_up_s` in all, at most a third of `limit_s`, but one
    call each in any case.
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
    rewarm: bool = False,
    progress: Progress | None = None,
) -> Sampling:
    """Start, warm up and sample everything, in random order in every round.

    In a round each series gets a turn of some samples. Sampling ends when every series has enough
    samples and all those that matter hold still, else at the time limit, which is for all together.
    `rewarm` begins turns with calls that count for nothing, since others emptied the caches. A
    KeyboardInterrupt leaves the samples taken so far in the series.
    """
    with collector_paused(collect=True):
        return _take_rounds(every, settings, clock, rewarm, progress or no_progress)


def _take_rounds(
    every: Sequence[Series],
    settings: MeasurementSettings,
    clock: Clock,
    rewarm: bool,
    progress: Progress,
) -> Sampling:
    shuffle = random.Random(settings.seed).shuffle
    for series in every:
        series.start()
    started = clock()
    warm_up(every, settings, clock)
    sampling, watch = clock(), Watch(clock)
    deadline = started + round(settings.limit_s * NANOSECONDS_PER_S)
    left_s = (deadline - sampling) / NANOSECONDS_PER_S
    turns = list(zip(every, plan_turns(every, left_s, rewarm=rewarm), strict=True))
    found = partial(Sampling, settings=settings, windows=watch.windows)
    checked = 0
    while True:
        shuffle(turns)
        for series, turn in turns:
            for _ in range(turn.rewarming_calls):
                series.time_call()
            for _ in range(turn.samples):
                series.sample()
            if clock() >= deadline and all(other.samples_s for other in every):
                return found(stopped_by=TIME_LIMIT)
        taken, now = min(len(series.samples_s) for series in every), clock()
        watch.look(taken)
        share = (now - started) / (deadline - started)
        progress(f"timing: {taken} samples each", min(1.0, share))
        long_enough = now - sampling >= settings.minimum_s * NANOSECONDS_PER_S
        if long_enough and taken >= max(settings.minimum_samples, checked * 4 / 3):
            checked = taken
            if _are_known(every, found(stopped_by=STABLE)):
                return found(stopped_by=STABLE)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one series does in one round."""

    rewarming_calls: int
    samples: int


def plan_turns(every: Sequence[Series], left_s: float, *, rewarm: bool) -> list[Turn]:
    """Plan the turns of a round, so that the time left holds at least ten rounds.

    All turns have as many samples, ten at most. `rewarm` begins one with 2 ms of calls that count
    for nothing (1 to 20 of them); with a single one where the time does not hold more.
    """
    round_s = left_s / LEAST_ROUNDS
    sampling_s = max(sum(series.sample_cost_s for series in every), 1e-9)
    calls = [
        max(1, min(math.ceil(REWARM_S / max(series.typical_s, 1e-9)), MOST_REWARMING_CALLS))
        if rewarm
        else 0
        for series in every
    ]
    rewarming_s = sum(count * series.typical_s for count, series in zip(calls, every, strict=True))
    if rewarming_s + sampling_s > round_s:
        calls = [min(count, 1) for count in calls]
    affordable = int((round_s - rewarming_s) / sampling_s)
    samples = max(1, min(affordable, MOST_SAMPLES_A_TURN))
    return [Turn(count, samples) for count in calls]


def _are_known(every: Sequence[Series], sampling: Sampling) -> bool:
    """Return whether the medians of all series that matter are known well enough."""
    known_to = sampling.settings.known_to
    least_s = SMALL_SHARE * sum(series.typical_s for series in every)
    matter = (series for series in every if series.typical_s >= least_s)
    return math.isinf(known_to) or all(
        statistics.uncertainty(kept) <= known_to for kept in map(sampling.kept, matter)
    )


def summarise(
    series: Series,
    sampling: Sampling,
    *,
    floor: Series | None = None,
    synchronous: bool = True,
    cache: str = WARM,
) -> Latency:
    """Return what the samples say; the dispatch floor is the median of `floor`, the null call."""
    samples = sampling.kept(series)
    single = series.calls_per_sample == 1
    seen: dict[str, Any] = {"drift": statistics.drift(samples)}
    seen["others_share"] = sampling.others_share
    verdict, reasons = statistics.judge(
        len(samples), uncertainty=statistics.uncertainty(samples), **seen
    )
    return Latency(
        median_s=statistics.median(samples),
        interval_s=statistics.median_interval(samples),
        p90_s=statistics.percentile_estimate(samples, 0.90) if single else None,
        p99_s=statistics.percentile_estimate(samples, 0.99) if single else None,
        min_s=min(samples),
        mad_s=statistics.median_absolute_deviation(samples),
        relative_iqr=statistics.relative_interquartile_range(samples),
        samples=len(samples),
        outliers=statistics.outlier_count(samples),
        windows=len(sampling.windows),
        spoiled_windows=sum(sampling.spoiled),
        stopped_by=sampling.stopped_by,
        first_call_s=series.first_call_s,
        dispatch_s=None if floor is None else statistics.median(sampling.kept(floor)),
        verdict=verdict,
        samples_s=tuple(samples),
        calls_per_sample=series.calls_per_sample,
        reasons=reasons,
        synchronous=synchronous,
        cache=cache,
        cores=len(host.usable_cores()),
        **seen,
    )
