"""One figure of a workload over time, run by run, and what changed in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from math import hypot
from typing import TYPE_CHECKING, Any

import msgspec

from edgegraph.base.shown import shown
from edgegraph.results.columns import TEXT, columns_of, frame, notebook_table
from edgegraph.results.kinds import provided
from edgegraph.results.verdicts import OK, verdict_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


Series = tuple[str, str, str, int | None, str]
"""What entries have in common that compare: machine, target, dtype, batch, options."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run.

    Attributes:
        id: Its number in the database; ``runs.db#42`` names it.
        created_at: When it was made, UTC, ISO 8601.
        kind: ``analysis``, ``sweep`` (one point of one), ``fusion study``, ...
        batch, dtype, target, options, machine: What must be alike for two runs to compare.
        edgegraph, jax: Versions.
        fingerprint: Digest of the StableHLO that the workload lowers to, or None.
        verdict: How sound a time's measurement is; None for what is not measured.
        value: The figure, in the unit of its name.
        previous: The last run before it that compares and was sound, or None.
        change: The value over that run's, less 1; None without one, or where that was 0.
        judged: Of a time: ``faster``, ``slower``, ``no difference`` or ``NOISY``, by the noise of
            both; None where that is not known, and for what is counted.
        same_program: Whether it lowers to what that run lowered to; None where not known.
    """

    id: int
    created_at: str
    kind: str
    batch: int | None
    dtype: str | None
    target: str
    options: Mapping[str, str | int | float | bool]
    machine: str
    edgegraph: str
    jax: str
    fingerprint: str | None
    verdict: str | None
    value: float
    previous: int | None
    change: float | None
    judged: str | None
    same_program: bool | None

    @property
    def series(self) -> Series:
        """What it compares with."""
        return _series(self)


def options_text(run: Run | Entry) -> str:
    """Return the compiler options of a run as ``key=value``; "" for none."""
    return " ".join(f"{key}={value}" for key, value in sorted(run.options.items()))


def _series(run: Run | Entry) -> Series:
    return run.machine, run.target, run.dtype or "", run.batch, options_text(run)


def run_frame(runs: Sequence[Run | Entry], kind: type) -> pd.DataFrame:
    """Return runs or entries as a table, one row each; the figures of runs have no columns."""
    names = [field.name for field in fields(kind) if field.name != "metrics"]
    options = [msgspec.json.encode(run.options).decode() for run in runs]
    return frame(runs, {**columns_of(kind, *names), "options": TEXT}, options=options)


@dataclass(frozen=True, kw_only=True, repr=False)
class History:
    """A figure over time.

    Attributes:
        workload: Name of the workload.
        metric: Name of the figure, with its unit.
        entries: The oldest first.
    """

    workload: str
    metric: str
    entries: tuple[Entry, ...]

    @property
    def series(self) -> Mapping[Series, tuple[Entry, ...]]:
        """The entries that compare with each other, by machine, target, dtype, batch, options."""
        found: dict[Series, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.series, []).append(entry)
        order = sorted(found, key=lambda name: (*name[:3], name[4], name[3] or 0))
        return {name: tuple(found[name]) for name in order}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per run; the figure stands under its name."""
        return run_frame(self.entries, Entry).rename(columns={"value": self.metric})

    @property
    def document(self) -> dict[str, Any]:
        """The history as a JSON object."""
        return {
            "workload": self.workload,
            "metric": self.metric,
            "runs": [msgspec.to_builtins(entry) for entry in self.entries],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the figure over time, a line for all runs that compare.

        Args:
            ax: Where to draw; a new figure of one paper column where None.
        """
        drawn: Axes = provided("history_figure")(self, ax)
        return drawn

    def __repr__(self) -> str:
        """Name the workload and the figure."""
        return f"<History {shown(self.workload)}: {self.metric}, {len(self.entries)} runs>"

    def _repr_html_(self) -> str:
        """Show the runs in a notebook."""
        return f"<p><b>{escape(repr(self)[1:-1])}</b></p>{notebook_table(self.frame)}"


INTERQUARTILE_RANGES = {"latency_s": "latency_iqr_s", "throughput_per_s": "throughput_iqr_per_s"}
"""Figures that are timed, and the metric that tells how far each is off."""

TIMED = (*INTERQUARTILE_RANGES, "latency_p90_s")
"""Figures that are only as sound as the measurement."""


def follow(runs: Sequence[Run], metric: str) -> History:
    """Put the runs of one workload, the oldest first, that have a figure in a row."""
    last: dict[Series, Run] = {}
    entries = []
    for run in runs:
        if metric in run.metrics:
            series = _series(run)
            entries.append(entry := _entry(run, last.get(series), metric))
            # Nothing is held against a noisy measurement, where there is a sound one.
            if series not in last or entry.verdict in (None, OK):
                last[series] = run
    return History(workload=runs[0].workload, metric=metric, entries=tuple(entries))


_COPIED = {field.name for field in fields(Entry)} & {field.name for field in fields(Run)}


def _entry(run: Run, before: Run | None, metric: str) -> Entry:
    value = run.metrics[metric]
    copied = {name: getattr(run, name) for name in _COPIED}
    copied["verdict"] = run.verdict if metric in TIMED else None
    if before is None:
        return Entry(
            **copied, value=value, previous=None, change=None, judged=None, same_program=None
        )
    former = before.metrics[metric]
    known = before.fingerprint is not None and run.fingerprint is not None
    return Entry(
        **copied,
        value=value,
        previous=before.id,
        change=value / former - 1 if former else None,
        judged=_judged(before, run, metric),
        same_program=before.fingerprint == run.fingerprint if known else None,
    )


def _judged(before: Run, after: Run, metric: str) -> str | None:
    """Return whether a timed figure changed by more than its noise; None where that is unknown."""
    iqr = INTERQUARTILE_RANGES.get(metric)
    if iqr is None or not all(iqr in run.metrics for run in (before, after)):
        return None
    noise = hypot(before.metrics[iqr], after.metrics[iqr])
    sound = before.verdict == after.verdict == OK
    former, latter = before.metrics[metric], after.metrics[metric]
    if metric == "throughput_per_s":
        # More of it is faster: judged by the time that each sample takes.
        noise /= former * latter
        former, latter = 1 / former, 1 / latter
    return verdict_of(former, latter, noise, sound=sound)
