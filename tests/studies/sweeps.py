"""Sweeps written by hand."""

from __future__ import annotations

from dataclasses import replace

from edgegraph.measure.environment import environment
from edgegraph.results.timing import Throughput
from edgegraph.studies.sweep.result import Sweep, SweepPoint
from tests import analyses


def throughput(batch: int, samples_per_s: float, *, noise: float = 0.02, depth: int = 4,
               verdict: str = "OK") -> Throughput:  # fmt: skip
    calls_per_s = samples_per_s / batch
    return Throughput(
        queue_depth=depth, batch=batch, calls=100, windows=10, wall_s=100 / calls_per_s,
        calls_per_s=calls_per_s, samples_per_s=samples_per_s, relative_iqr=noise, drift=0.0,
        verdict=verdict, reasons=() if verdict == "OK" else ("made up",), cores=2,
    )  # fmt: skip


def point(
    batch: int,
    samples_per_s: float,
    latency_s: float | None = None,
    *,
    noise: float = 0.02,
    verdict: str = "OK",
    dtype: str | None = None,
) -> SweepPoint:
    """Return a measured point; its p90 lies 10 % above the median."""
    median_s = batch / samples_per_s if latency_s is None else latency_s
    return SweepPoint(
        batch=batch,
        dtype=dtype,
        latency=analyses.latency(median_s, verdict=verdict),
        throughputs=(throughput(batch, samples_per_s, noise=noise, verdict=verdict),),
        flops=8_700_000 * batch,
        bytes=3_300_000 + 2000 * batch,
        compute_time_s=20e-6 * batch,
        memory_time_s=60e-6,
        bound="memory" if batch < 4 else "compute",
        peak_memory_bytes=3_300_000 + 25_000 * batch,
        compile_s=0.3,
    )


def failed(batch: int, error: str = "out of memory") -> SweepPoint:
    return SweepPoint(batch=batch, error=error)


def sweep(*points: SweepPoint, max_latency_s: float | None = None) -> Sweep:
    return Sweep(
        workload="small_cnn",
        target="cpu",
        device=analyses.DEVICE,
        environment=replace(environment(), created_at="2025-01-01T00:00:00+00:00"),
        batches=tuple(dict.fromkeys(one.batch for one in points)),
        options={},
        option_sets={},
        max_latency_s=max_latency_s,
        points=points,
    )


def saturating() -> Sweep:
    """Return a sweep whose throughput stops growing at batch 8, with an error and a noisy row."""
    rates = {1: 7_000, 2: 12_000, 4: 15_000, 8: 17_500, 16: 18_000, 32: 17_800}
    return sweep(
        *(point(batch, rate) for batch, rate in rates.items()),
        point(64, 16_000, verdict="NOISY"),
        failed(128),
        max_latency_s=1e-3,
    )
