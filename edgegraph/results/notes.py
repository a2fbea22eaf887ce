"""What the run database notes about a result besides its content: what it is of, its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgegraph.results.timing import best_throughput

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis, Environment
    from edgegraph.results.timing import Latency, Throughput


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """One row of the run database, without its number and content.

    Attributes:
        workload: Its name; those of a comparison of several, joined.
        fingerprint: Digest of the StableHLO that it lowers to; None where it is not known.
        dtype: As a sweep names it, or None.
        error: Why a point of a sweep has no measurement, or None.
        verdict: How sound its measurement is: ``OK``, ``NOISY``, ``INVALID``; None without one.
        metrics: Its figures by name; what is unknown is left out.
    """

    workload: str
    fingerprint: str | None = None
    batch: int | None = None
    dtype: str | None = None
    target: str
    options: Mapping[str, str | int | float | bool]
    environment: Environment
    error: str | None = None
    verdict: str | None = None
    metrics: Mapping[str, float]

    @property
    def machine(self) -> str:
        """Name the machine by what makes measurements comparable."""
        here = self.environment
        return f"{here.processor}, {here.affinity} of {here.cores} cores, {here.platform}"


def analysis_notes(analysis: Analysis) -> Notes:
    """Note what an analysis is of, and every total of it."""
    totals = analysis.totals
    figures = {
        **totals,
        **timed(analysis.latency, best_throughput(analysis.throughputs)),
        "bytes": totals.bytes_read + totals.bytes_written,
        "peak_memory_bytes": None if analysis.memory is None else analysis.memory.peak_bytes,
        "live_memory_bytes": (
            None if analysis.live_memory is None else analysis.live_memory.peak_bytes
        ),
        "lower_s": analysis.lower_s,
        "compile_s": analysis.compile_s,
    }
    return Notes(
        workload=analysis.workload,
        fingerprint=analysis.fingerprint,
        verdict=None if analysis.latency is None else analysis.latency.verdict,
        batch=analysis.batch,
        target=analysis.target,
        options=analysis.options,
        environment=analysis.environment,
        metrics=numbers(figures.items()),
    )


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


def numbers(figures: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Return the figures that are known numbers."""
    return {
        name: float(value)
        for name, value in figures
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
