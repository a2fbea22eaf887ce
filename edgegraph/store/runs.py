"""What the database notes about a result besides its content: what it is of, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgegraph.errors import InputError
from edgegraph.results.analysis import Analysis, Environment
from edgegraph.results.files import kind_of
from edgegraph.results.timing import Latency, Throughput, best_throughput
from edgegraph.studies.devices.result import DeviceComparison
from edgegraph.studies.fusion.result import FULL, FusionStudy
from edgegraph.studies.overlap.result import OverlapStudy
from edgegraph.studies.scaling.result import Scaling
from edgegraph.studies.sweep.result import Sweep, SweepPoint

Options = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """One row of the database, without its number and content.

    Attributes:
        workload: Its name; those of a comparison of several, joined.
        fingerprint: Digest of the StableHLO that it lowers to; None where it is not known.
        batch: Batch size, or None.
        dtype: The dtype as the sweep names it, or None.
        target: What it was compiled for.
        options: XLA compiler options.
        environment: Where and with what it was made.
        error: Why a point of a sweep has no measurement, or None.
        verdict: How sound its measurement is: ``OK``, ``NOISY``, ``INVALID``; None without one.
        metrics: Its figures by name; what is unknown is left out.
    """

    workload: str
    fingerprint: str | None = None
    batch: int | None = None
    dtype: str | None = None
    target: str
    options: Options
    environment: Environment
    error: str | None = None
    verdict: str | None = None
    metrics: Mapping[str, float]

    @property
    def machine(self) -> str:
        """Name the machine by what makes measurements comparable."""
        here = self.environment
        return f"{here.processor}, {here.affinity} of {here.cores} cores, {here.platform}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One result that is kept, without its content.

    Attributes:
        id: Its number in the database; ``runs.db#42`` names it.
        kind: ``analysis``, ``sweep`` (one point of one), ``fusion study``, ...
        workload: Name of the workload.
        fingerprint: Digest of the StableHLO that it lowers to; None where it was not noted.
        batch: Batch size, or None.
        dtype: The dtype as the sweep names it, or None.
        target: What it was compiled for.
        options: XLA compiler options.
        machine: Processor, cores and system.
        edgegraph, jax: Versions.
        created_at: When it was made, UTC, ISO 8601.
        error: Why a point of a sweep has no measurement; None if all went well.
        verdict: How sound its measurement is: ``OK``, ``NOISY``, ``INVALID``; None without one.
        metrics: Its figures, by name with unit.
    """

    id: int
    kind: str
    workload: str
    fingerprint: str | None
    batch: int | None
    dtype: str | None
    target: str
    options: Mapping[str, str | int | float | bool]
    machine: str
    edgegraph: str
    jax: str
    created_at: str
    error: str | None
    verdict: str | None
    metrics: Mapping[str, float]


def split(result: Any) -> tuple[Any, ...]:
    """Split a sweep into sweeps of one point each, which are kept one by one."""
    if isinstance(result, Sweep):
        return tuple(one_point(result, point) for point in result.points)
    return (result,)


def one_point(sweep: Sweep, point: SweepPoint) -> Sweep:
    """Return the sweep with this point alone; its choices are made when all are together again."""
    used = {name: extra for name, extra in sweep.option_sets.items() if name == point.options}
    return replace(sweep, batches=(point.batch,), option_sets=used, points=(point,))


def describe(result: Any) -> Notes:
    """Note what a result is of.

    Raises:
        InputError: It is of a kind that has no place in the database.
    """
    for kind, note in _NOTES.items():
        if isinstance(result, kind):
            return note(result)
    raise InputError(
        f"the run database keeps analyses, sweeps, and studies, and no {kind_of(result)}; save it"
        " to a file"
    )


def _analysis(analysis: Analysis) -> Notes:
    totals, best = analysis.totals, best_throughput(analysis.throughputs)
    figures = dict(totals) | {
        "latency_s": None if analysis.latency is None else analysis.latency.median_s,
        "latency_p90_s": None if analysis.latency is None else analysis.latency.p90_s,
        **_interquartile_ranges(analysis.latency, best),
        "throughput_per_s": None if best is None else best.samples_per_s,
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
        metrics=_numbers(figures.items()),
    )


_POINT_FIGURES = (
    "latency_s", "latency_p90_s", "throughput_per_s", "compute_time_s", "memory_time_s",
    "overlapped_time_s", "serial_time_s", "peak_memory_bytes", "live_memory_bytes", "flops",
    "bytes", "queue_depth", "compile_s",
)  # fmt: skip


def _sweep(sweep: Sweep) -> Notes:
    (point,) = sweep.points
    return Notes(
        workload=sweep.workload,
        fingerprint=point.fingerprint,
        batch=point.batch,
        dtype=point.dtype,
        target=sweep.target,
        options={**sweep.options, **sweep.option_sets.get(point.options, {})},
        environment=sweep.environment,
        error=point.error,
        verdict=point.verdict,
        metrics=_numbers(
            [
                *((name, getattr(point, name)) for name in _POINT_FIGURES),
                *_interquartile_ranges(point.latency, point.throughput).items(),
            ]
        ),
    )


def _fusion(study: FusionStudy) -> Notes:
    full = next(rung for rung in study.rungs if rung.name == FULL)
    names = (
        "latency_s", "kernels", "fusions", "flops", "bytes", "compute_time_s", "memory_time_s",
        "temp_bytes", "compile_s",
    )  # fmt: skip
    return Notes(
        workload=study.workload,
        batch=study.batch,
        target=study.target,
        options=full.options,
        environment=study.environment,
        metrics=_numbers((name, getattr(full, name)) for name in names),
    )


def _overlap(study: OverlapStudy) -> Notes:
    best = best_throughput(study.throughputs)
    figures = {
        "latency_s": study.latency.median_s,
        "latency_p90_s": study.latency.p90_s,
        **_interquartile_ranges(study.latency, best),
        "throughput_per_s": None if best is None else best.samples_per_s,
        "dispatch_gain": study.dispatch_gain,
    }
    return Notes(
        workload=study.workload,
        batch=study.batch,
        verdict=study.verdict,
        target=study.target,
        options={},
        environment=study.environment,
        metrics=_numbers(figures.items()),
    )


def _devices(comparison: DeviceComparison) -> Notes:
    batches = {row.batch for row in comparison.rows}
    return Notes(
        workload=", ".join(dict.fromkeys(row.workload for row in comparison.rows)),
        batch=batches.pop() if len(batches) == 1 else None,
        target=", ".join(dict.fromkeys(row.device for row in comparison.rows)),
        options={},
        environment=comparison.environment,
        metrics={},
    )


def _scaling(study: Scaling) -> Notes:
    """Note how far the most chips are from perfect."""
    figures: dict[str, float] = {}
    for scaling, points in study.series.items():
        known = [point for point in points if study.efficiency(point) is not None]
        if known:
            figures[f"{scaling}_chips"] = known[-1].chips
            figures[f"{scaling}_efficiency"] = study.efficiency(known[-1]) or 0.0
    return Notes(
        workload=study.workload,
        target=study.target,
        options={},
        environment=study.environment,
        metrics=figures,
    )


_NOTES: Mapping[type, Callable[[Any], Notes]] = {
    Analysis: _analysis,
    Sweep: _sweep,
    FusionStudy: _fusion,
    OverlapStudy: _overlap,
    DeviceComparison: _devices,
    Scaling: _scaling,
}


def _interquartile_ranges(
    latency: Latency | None, throughput: Throughput | None
) -> dict[str, float]:
    """Return interquartile ranges, which a later run's difference is held against."""
    found = {}
    if latency is not None:
        found["latency_iqr_s"] = latency.relative_iqr * latency.median_s
    if throughput is not None:
        found["throughput_iqr_per_s"] = throughput.relative_iqr * throughput.samples_per_s
    return found


def _numbers(figures: Iterable[tuple[str, Any]]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in figures
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
