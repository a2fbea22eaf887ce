"""The outcome of timing: latency, throughput, a host that works ahead, which of two is faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgegraph.base.units import seconds
from edgegraph.results.base import Saved
from edgegraph.results.columns import columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.verdicts import FASTER, NO_DIFFERENCE, SLOWER

if TYPE_CHECKING:
    import pandas as pd


WARM = "warm"
"""The program's data may still be in the caches from the last call."""

COLD = "cold"
"""Four times the last cache's size of other data was touched before every call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Blocking single-stream latency of one executable, in seconds.

    Attributes:
        median_s: Median of all samples that count.
        interval_s: Its 95 % confidence interval, by a block bootstrap: 0.95 of many measurements
            like this one hold the median of endless sampling. None of fewer than six samples, and
            in results of before there were intervals.
        p90_s: 90th percentile by MLPerf's early-stopping estimate; None below 64 samples, or
            where a sample is a block of calls.
        p99_s: 99th percentile likewise; None below 662 samples.
        min_s: Fastest sample.
        mad_s: Median absolute deviation.
        relative_iqr: Interquartile range over the median.
        drift: Relative difference between the medians of the first and the second half.
        samples: Number of samples that count.
        outliers: Samples beyond Tukey's fences; counted, never dropped.
        windows: Windows of about 0.2 s in which the machine was watched, and
        spoiled_windows: those that are left out, since others took over a tenth of the cores'
            time in them or the clock rate was another. None is where more than half would be.
        stopped_by: ``stable`` (the median is known well enough) or ``time limit``.
        first_call_s: The first call, which warms caches and allocates.
        dispatch_s: Median of a null executable with the same signature; None if not taken.
        verdict: ``OK`` where the interval reaches no further than 5 % of the median, else
            ``NOISY``, and ``INVALID`` beyond 25 %; ``NOISY`` also where others were at work.
        samples_s: The raw samples that count, in the order they were taken.
        calls_per_sample: 1, or the calls in a block where one call is too short for the clock;
            a sample is then the block's mean.
        reasons: Why the verdict is not ``OK``, one line each.
        synchronous: Whether the calls ran in the calling thread; if not, a thread's wake-up is
            part of every sample.
        cache: ``warm``, or ``cold`` where four times the last cache's size of other data was
            touched before every call.
        cores: Cores that the process could use; None if unknown.
        others_share: Share of the cores' time that other processes took meanwhile; None where
            the system does not tell.
    """

    median_s: float
    p90_s: float | None
    p99_s: float | None
    min_s: float
    mad_s: float
    relative_iqr: float
    drift: float
    samples: int
    outliers: int
    stopped_by: str
    first_call_s: float
    dispatch_s: float | None
    verdict: str
    samples_s: tuple[float, ...] = ()
    calls_per_sample: int = 1
    reasons: tuple[str, ...] = ()
    synchronous: bool = True
    cache: str = WARM
    cores: int | None = None
    others_share: float | None = None
    interval_s: tuple[float, float] | None = None
    windows: int | None = None
    spoiled_windows: int = 0

    def __repr__(self) -> str:
        """Say in one line what was measured; the samples are for those who ask."""
        least, cache = seconds(self.min_s), "" if self.cache == WARM else f" {self.cache}"
        return (
            f"<Latency{cache} {seconds(self.median_s)} median, min {least}, n={self.samples},"
            f" {self.verdict}>"
        )

    @property
    def uncertainty(self) -> float:
        """Half of the interval over the median; half of the samples' spread without an interval."""
        if self.interval_s is None or not self.median_s:
            return self.relative_iqr
        low_s, high_s = self.interval_s
        return (high_s - low_s) / 2 / self.median_s

    @property
    def net_s(self) -> float | None:
        """Median less the dispatch floor, 0 where it drowns in it; None if that is unknown."""
        if self.dispatch_s is None:
            return None
        return max(0.0, self.median_s - self.dispatch_s)

    @property
    def is_launch(self) -> bool:
        """Whether launching takes over half of the median."""
        return self.dispatch_s is not None and self.dispatch_s > self.median_s / 2


in_document(Latency, less="samples_s", more=["uncertainty"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLatency:
    """One layer, compiled alone and timed with the values that really flow into it.

    Attributes:
        layer: Path of the scope (``SmallCNN/conv1``), or ``(unattributed)``.
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        latency: Of running it once.
        covers: Layers below it whose operations are part of it.
        depth: Where the program was cut: None where every scope's own operations were timed
            alone, but for those that others cover for want of time; else the number of scopes
            above those that were timed as one piece with all that lies below them.
        executions: How often it runs in one call of the program: the trips of the loop that it
            stands in.
        within: The loop or branch that it stands in, from the outermost to the innermost
            (``scan of 12``); it was timed with the values of the first time that it runs.
            None outside of any.
    """

    layer: str
    phase: str
    latency: Latency
    covers: tuple[str, ...] = ()
    depth: int | None = None
    executions: int = 1
    within: str | None = None

    @property
    def time_s(self) -> float | None:
        """Time in one call of the program: net of the dispatch floor, times the executions."""
        net = self.latency.net_s
        return None if net is None else net * self.executions


def finest_cut(latencies: Sequence[LayerLatency]) -> tuple[LayerLatency, ...]:
    """Return those of the cut into the smallest pieces; scopes alone are smaller than any depth."""

    def fineness(depth: int | None) -> float:
        return float("inf") if depth is None else depth

    finest = max((fineness(each.depth) for each in latencies), default=None)
    return tuple(each for each in latencies if fineness(each.depth) == finest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Pipelined throughput of one executable at one queue depth.

    It is not one over the latency: while one call runs, the next are already handed over.

    Attributes:
        queue_depth: Calls that were in flight at most; 1 hands over the next call when the last
            is done.
        batch: Samples in a call; None where the program has no batch.
        calls: Calls that were made,
        windows: in this many windows, each from its first enqueue to its last completion.
        wall_s: Seconds that the windows took together.
        calls_per_s: calls / wall_s.
        samples_per_s: Calls per second times the batch; the calls themselves without a batch.
        interval_per_s: 95 % confidence interval of the samples per second: Student's, of the mean
            of the windows' times. None in results of before there were intervals.
        relative_iqr: Interquartile range over the median of the windows' times.
        drift: How much slower the second half of the windows was than the first.
        verdict: ``OK``, ``NOISY`` or ``INVALID``.
        reasons: Why the verdict is not ``OK``, one line each.
        cores: Cores that the process could use.
        others_share: Share of the cores' time that other processes took; None where the system
            does not tell.
    """

    queue_depth: int
    batch: int | None
    calls: int
    windows: int
    wall_s: float
    calls_per_s: float
    samples_per_s: float
    relative_iqr: float
    drift: float
    verdict: str
    reasons: tuple[str, ...] = ()
    cores: int
    others_share: float | None = None
    interval_per_s: tuple[float, float] | None = None

    @property
    def uncertainty(self) -> float:
        """Half of the interval over the rate; half of the windows' spread without an interval."""
        if self.interval_per_s is None:
            return self.relative_iqr
        low, high = self.interval_per_s
        return (high - low) / 2 / self.samples_per_s


in_document(Throughput, more=["uncertainty"])


def best_throughput(throughputs: tuple[Throughput, ...]) -> Throughput | None:
    """Return the highest throughput of all queue depths; None without any."""
    return max(throughputs, key=lambda one: one.calls_per_s, default=None)


def timed(latency: Latency | None, throughput: Throughput | None) -> dict[str, float | None]:
    """Return a measurement's figures.

    The interquartile ranges among them are what a later run's difference is held against.
    """
    found: dict[str, float | None] = {}
    if latency is not None:
        found["latency_s"] = latency.median_s
        found["latency_p90_s"] = latency.p90_s
        found["latency_iqr_s"] = latency.relative_iqr * latency.median_s
    if throughput is not None:
        found["throughput_iqr_per_s"] = throughput.relative_iqr * throughput.samples_per_s
        found["throughput_per_s"] = throughput.samples_per_s
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOverlap:
    """Preparing the next batch on the host while the device works on this one.

    All times are of one step, medians over blocks of `steps` steps.

    Attributes:
        steps: Steps in a block; the first preparation of a block is never hidden.
        prepare_s: The host makes a batch.
        transfer_s: The batch goes to the device.
        step_s: The device works on it.
        serial_s: One after the other, measured.
        overlapped_s: The next batch made and sent by a thread meanwhile, measured.
        verdict: ``OK``, ``NOISY`` or ``INVALID``: the worst of the five measurements'.
        reasons: Why it is not ``OK``.
    """

    steps: int
    prepare_s: float
    transfer_s: float
    step_s: float
    serial_s: float
    overlapped_s: float
    verdict: str
    reasons: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """Share of the serial time that overlapping takes away; negative where it costs."""
        return 1 - self.overlapped_s / self.serial_s

    @property
    def hidden(self) -> float | None:
        """Share of the shorter side, host or device, that was hidden behind the longer one."""
        shorter_s = min(self.prepare_s + self.transfer_s, self.step_s)
        return (self.serial_s - self.overlapped_s) / shorter_s if shorter_s else None


in_document(InputOverlap, more=["gain", "hidden"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTimes:
    """What one fresh process saw, in which the calls of both programs took turns.

    Attributes:
        first_s, second_s: Median of a call of each.
        control_s: Median of a call of the first, loaded a second time.
        ratio: second / first: the median of the ratios of calls that were made in one round.
        control_ratio: control / first, likewise; what it strays from 1 is noise.
        pairs: Calls of each that were compared.
        others_share: Share of the cores' time that other processes took; None if unknown.
    """

    first_s: float
    second_s: float
    control_s: float
    ratio: float
    control_ratio: float
    pairs: int
    others_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingComparison(Saved):
    """The second program against the first, paired and interleaved over fresh processes.

    Attributes:
        first, second: Names of the programs.
        first_s, second_s: Medians over the processes.
        ratio: second / first: above 1 the second is slower. Geometric mean over the processes.
        interval: 95 % confidence interval of the ratio, from the spread between processes.
        control_ratio, control_interval: The same of the first program against itself, taken in
            the same rounds of the same processes.
        verdict: The second is ``faster`` or ``slower``, there is ``no difference`` that this
            comparison could see, or it is too ``NOISY`` to say.
        reasons: Why it is ``NOISY``, one line each.
        cores: Cores that the processes could use.
        processes: What each process saw.
    """

    first: str
    second: str
    first_s: float
    second_s: float
    ratio: float
    interval: tuple[float, float]
    control_ratio: float
    control_interval: tuple[float, float]
    verdict: str
    reasons: tuple[str, ...] = ()
    cores: int
    processes: tuple[ProcessTimes, ...]

    @property
    def largest_difference(self) -> float:
        """The largest difference from 1, either way, that the interval leaves possible."""
        low, high = self.interval
        return max(high - 1.0, 1.0 - low)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per process, in the order they ran; columns as on `ProcessTimes`."""
        return frame(self.processes, columns_of(ProcessTimes))

    def __str__(self) -> str:
        """Describe the outcome in one line."""
        (low, high), (control_low, control_high) = self.interval, self.control_interval
        outcome = {
            FASTER: f"{self.second} is faster than {self.first}",
            SLOWER: f"{self.second} is slower than {self.first}",
            NO_DIFFERENCE: f"no difference between {self.first} and {self.second}",
        }.get(self.verdict, f"too noisy to compare {self.first} and {self.second}")
        return (
            f"{outcome}: {seconds(self.second_s)} against {seconds(self.first_s)}, ratio"
            f" {self.ratio:.3f} (95 % {low:.3f} to {high:.3f}; control {self.control_ratio:.3f},"
            f" {control_low:.3f} to {control_high:.3f})"
            + "".join(f"; {reason}" for reason in self.reasons)
        )


in_document(TimingComparison, less="processes")
