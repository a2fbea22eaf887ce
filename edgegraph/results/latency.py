"""The outcome of timing one executable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WARM = "warm"
"""The program's data may still be in the caches from the last call."""

COLD = "cold"
"""Four times the last cache's size of other data was touched before every call."""

UNATTRIBUTED = "(unattributed)"
"""Stands for the layer of operations that belong to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Blocking single-stream latency of one executable, in seconds.

    Attributes:
        median_s: Median of all samples.
        p90_s: 90th percentile by MLPerf's early-stopping estimate; None below 64 samples, or
            where a sample is a block of calls.
        p99_s: 99th percentile likewise; None below 662 samples.
        min_s: Fastest sample.
        mad_s: Median absolute deviation.
        relative_iqr: Interquartile range over the median.
        drift: Relative difference between the medians of the first and the second half.
        samples: Number of samples.
        outliers: Samples beyond Tukey's fences; counted, never dropped.
        stopped_by: ``stable`` (all conditions met) or ``time limit``.
        first_call_s: The first call, which warms caches and allocates.
        dispatch_s: Median of a null executable with the same signature; None if not taken.
        verdict: ``OK``, ``NOISY`` or ``INVALID``.
        samples_s: The raw samples in the order they were taken.
        calls_per_sample: 1, or the calls in a block where one call is too short for the clock;
            a sample is then the block's mean.
        window_spread: How far the medians of the last three windows of samples lie apart, over
            their median; None for fewer than three samples.
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
    window_spread: float | None = None
    reasons: tuple[str, ...] = ()
    synchronous: bool = True
    cache: str = WARM
    cores: int | None = None
    others_share: float | None = None

    @property
    def net_s(self) -> float | None:
        """Median less the dispatch floor, 0 where it drowns in it; None if that is unknown."""
        if self.dispatch_s is None:
            return None
        return max(0.0, self.median_s - self.dispatch_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLatency:
    """One layer, compiled alone and timed with the values that really flow into it.

    Attributes:
        layer: Path of the scope (``SmallCNN/conv1``), or ``(unattributed)``.
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        latency: Of running it once.
        covers: Layers below it whose operations are part of it.
        depth: Where the program was cut: None where every scope's own operations were timed
            alone, else the number of scopes above those that were timed as one piece with all
            that lies below them.
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
