"""A figure from run to run: what changed since the last run that compares, beyond the noise."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from edgegraph.compare.times import verdict_of
from edgegraph.results.history import Entry, History
from edgegraph.store.runs import Run

INTERQUARTILE_RANGES = {"latency_s": "latency_iqr_s", "throughput_per_s": "throughput_iqr_per_s"}
"""Figures that are timed, and the metric that tells how far each is off."""

TIMED = (*INTERQUARTILE_RANGES, "latency_p90_s")
"""Figures that are only as sound as the measurement."""

_Alike = tuple[int | None, str | None, str, tuple[tuple[str, object], ...], str]


def follow(runs: Sequence[Run], metric: str) -> History:
    """Put the runs of one workload that have a figure in a row.

    Args:
        runs: At least one has it; the oldest first.
        metric: Name of the figure, with its unit.
    """
    last: dict[_Alike, Run] = {}
    entries = []
    for run in runs:
        if metric in run.metrics:
            alike = _alike(run)
            entries.append(entry := _entry(run, last.get(alike), metric))
            # Nothing is held against a noisy measurement, where there is a sound one.
            if alike not in last or entry.verdict in (None, "OK"):
                last[alike] = run
    return History(workload=runs[0].workload, metric=metric, entries=tuple(entries))


def _alike(run: Run) -> _Alike:
    """Return what must be the same for two runs to compare."""
    return run.batch, run.dtype, run.target, tuple(sorted(run.options.items())), run.machine


def _entry(run: Run, before: Run | None, metric: str) -> Entry:
    value = run.metrics[metric]
    former = None if before is None else before.metrics[metric]
    known = before is not None and before.fingerprint is not None and run.fingerprint is not None
    return Entry(
        id=run.id,
        created_at=run.created_at,
        kind=run.kind,
        batch=run.batch,
        dtype=run.dtype,
        target=run.target,
        options=run.options,
        machine=run.machine,
        edgegraph=run.edgegraph,
        jax=run.jax,
        fingerprint=run.fingerprint,
        verdict=run.verdict if metric in TIMED else None,
        value=value,
        previous=None if before is None else before.id,
        change=None if not former else value / former - 1,
        judged=None if before is None else _judged(before, run, metric),
        same_program=before.fingerprint == run.fingerprint if before and known else None,
    )


def _judged(before: Run, after: Run, metric: str) -> str | None:
    """Return whether a timed figure changed by more than its noise; None where that is unknown."""
    iqr = INTERQUARTILE_RANGES.get(metric)
    if iqr is None or not all(iqr in run.metrics for run in (before, after)):
        return None
    noise = hypot(before.metrics[iqr], after.metrics[iqr])
    sound = before.verdict == after.verdict == "OK"
    former, latter = before.metrics[metric], after.metrics[metric]
    if metric == "throughput_per_s":
        # More of it is faster: judged by the time that each sample takes.
        noise /= former * latter
        former, latter = 1 / former, 1 / latter
    return verdict_of(former, latter, noise, sound=sound)
