"""Taking samples: how long, how often, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edgegraph.base.timing import NANOSECONDS_PER_S, Clock, monotonic_clock
from edgegraph.device import host
from edgegraph.device.host import NOISY_OTHERS, OtherProcesses
from edgegraph.measure import statistics
from edgegraph.results.timing import WARM, Latency
from edgegraph.results.verdicts import INVALID, NOISY, NOISY_RELATIVE_IQR, OK

STABLE = "stable"
TIME_LIMIT = "time limit"

NOISY_DRIFT = 0.05
INVALID_RELATIVE_IQR = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSettings:
    """How long and how carefully to measure.

    Attributes:
        warm_up_calls: At least this many calls before the first sample,
        warm_up_s: and for at least this long, but no longer than a third of `limit_s`.
        minimum_samples: Do not stop before this many samples,
        minimum_s: and this many seconds of sampling,
        window_tolerance: and before the last three windows agree within this much.
        limit_s: Stop anyway after this long, warm-up included.
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
    window_tolerance: float = 0.10
    limit_s: float = 15.0
    block_below_s: float = 10e-6
    block_s: float = 100e-6
    seed: int = 0

    @classmethod
    def quick(cls) -> MeasurementSettings:
        """Return settings for a first look: 64 samples, as many as a p90 needs, in at most 3 s."""
        return cls(warm_up_s=0.1, minimum_samples=64, minimum_s=0.3, limit_s=3.0)


@dataclass(slots=True, kw_only=True)
class Series:
    """The timed calls of one thing, and the only state of a measurement.

    Attributes:
        call: What is timed.
        clock: What it is timed with.
        before: Called before every call, outside the timed part; calls are then never timed in
            blocks.
        after: Handed every result outside the timed part; calls are then never timed in blocks.
        first_call_s: The first call, once `start` ran.
        calls_per_sample: Calls in a block; 1 unless `choose_block` found them too short.
        samples_s: Seconds per call, in the order they were taken.
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
        self.first_call_s = self._time_one()

    def warm_up(self) -> None:
        """Make one call that counts for nothing but the choice of the block."""
        started = self.clock()
        self._warm_s.append(self._time_one())
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
            self.samples_s.append(self._time_one())
            return
        call, clock = self.call, self.clock
        started = clock()
        for _ in range(self.calls_per_sample):
            call()
        elapsed = clock() - started
        self.samples_s.append(elapsed / (NANOSECONDS_PER_S * self.calls_per_sample))

    def touch(self) -> None:
        """Make one call that counts for nothing."""
        self._time_one()

    @property
    def typical_s(self) -> float:
        """Median call of the warm-up."""
        return statistics.median(self._warm_s)

    @property
    def window_spread(self) -> float | None:
        """How far the medians of the samples' last three windows lie apart: of their thirds."""
        return statistics.window_spread(self.samples_s, max(1, len(self.samples_s) // 3))

    @property
    def sample_cost_s(self) -> float:
        """About how long it takes to take a sample, with what comes before and after a call."""
        return statistics.median(self._cost_s) * self.calls_per_sample

    def _time_one(self) -> float:
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


def other_processes(clock: Clock) -> OtherProcesses:
    """Return what watches other processes; nothing is seen by any clock but the system's own."""
    return OtherProcesses() if clock is monotonic_clock else OtherProcesses(busy_s=lambda: None)


def summarise(
    series: Series,
    *,
    stopped_by: str,
    settings: MeasurementSettings,
    dispatch_s: float | None = None,
    synchronous: bool = True,
    others_share: float | None = None,
    cache: str = WARM,
) -> Latency:
    """Return what a series of samples says.

    Args:
        series: At least one sample.
        stopped_by: Which condition ended the sampling.
        settings: Holds the tolerance of the windows.
        dispatch_s: The dispatch floor, if taken.
        synchronous: Whether the calls ran in the calling thread.
        others_share: Share of the cores' time that other processes took; None if unknown.
        cache: ``warm``, or ``cold`` where other data was touched before every call.
    """
    samples = series.samples_s
    single = series.calls_per_sample == 1
    window_spread = series.window_spread
    relative_iqr = statistics.relative_interquartile_range(samples)
    drift = statistics.drift(samples)
    verdict, reasons = judge(
        samples=len(samples),
        relative_iqr=relative_iqr,
        drift=drift,
        window_spread=window_spread,
        tolerance=settings.window_tolerance,
        others_share=others_share,
    )
    return Latency(
        median_s=statistics.median(samples),
        p90_s=statistics.percentile_estimate(samples, 0.90) if single else None,
        p99_s=statistics.percentile_estimate(samples, 0.99) if single else None,
        min_s=min(samples),
        mad_s=statistics.median_absolute_deviation(samples),
        relative_iqr=relative_iqr,
        drift=drift,
        samples=len(samples),
        outliers=statistics.outlier_count(samples),
        stopped_by=stopped_by,
        first_call_s=series.first_call_s,
        dispatch_s=dispatch_s,
        verdict=verdict,
        samples_s=tuple(samples),
        calls_per_sample=series.calls_per_sample,
        window_spread=window_spread,
        reasons=reasons,
        synchronous=synchronous,
        cache=cache,
        cores=len(host.usable_cores()),
        others_share=others_share,
    )


def judge(
    *,
    samples: int,
    relative_iqr: float,
    drift: float,
    window_spread: float | None,
    tolerance: float,
    others_share: float | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict on a series of samples, and why.

    Args:
        samples: Number of samples; too few are INVALID.
        relative_iqr: NOISY above 10 %, INVALID above 25 %.
        drift: NOISY above 5 % either way.
        window_spread: Of the last three windows; NOISY above the tolerance.
        tolerance: Of the windows.
        others_share: Share of the cores' time that other processes took; NOISY above 10 %, for
            a second process may slow all calls down evenly, so that nothing else shows it.

    Example:
        >>> judge(samples=100, relative_iqr=0.02, drift=-0.07, window_spread=0.01, tolerance=0.1)
        ('NOISY', ('the second half is 7 % faster than the first, more than 5 %',))
    """
    invalid: list[str] = []
    noisy: list[str] = []
    if samples < statistics.FEWEST_SAMPLES:
        invalid.append(f"{samples} samples, fewer than {statistics.FEWEST_SAMPLES}")
    if relative_iqr > NOISY_RELATIVE_IQR:
        fatal = relative_iqr > INVALID_RELATIVE_IQR
        limit = INVALID_RELATIVE_IQR if fatal else NOISY_RELATIVE_IQR
        (invalid if fatal else noisy).append(
            f"the middle half of the samples spreads over {_percent(relative_iqr)} of the median,"
            f" more than {_percent(limit)}"
        )
    if abs(drift) > NOISY_DRIFT:
        noisy.append(
            f"the second half is {_percent(abs(drift))} {'slower' if drift > 0 else 'faster'} than"
            f" the first, more than {_percent(NOISY_DRIFT)}"
        )
    if window_spread is not None and window_spread > tolerance:
        noisy.append(
            f"the last three windows lie {_percent(window_spread)} apart, more than"
            f" {_percent(tolerance)}"
        )
    if others_share is not None and others_share > NOISY_OTHERS:
        noisy.append(
            f"other processes took {_percent(others_share)} of the cores' time, more than"
            f" {_percent(NOISY_OTHERS)}"
        )
    verdict = INVALID if invalid else NOISY if noisy else OK
    return verdict, tuple(invalid + noisy)


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
