"""The outcome of timing one executable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Blocking single-stream latency of one executable, in seconds.

    Attributes:
        median_s: Median of all samples.
        p90_s: 90th percentile by MLPerf's early-stopping estimate; None below 64 samples.
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

    @property
    def net_s(self) -> float | None:
        """Median less the dispatch floor; None where that is unknown or not above zero."""
        if self.dispatch_s is None or self.median_s <= self.dispatch_s:
            return None
        return self.median_s - self.dispatch_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLatency:
    """One layer, compiled alone and timed with the values that really flow into it."""

    layer: str
    phase: str
    latency: Latency
