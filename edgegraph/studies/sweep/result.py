"""Latency against throughput: one program at many batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self

from edgegraph.base.shown import shown
from edgegraph.base.units import si
from edgegraph.device.device import Device
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.timing import Latency, Throughput, timed
from edgegraph.results.verdicts import OK, SOUNDNESS, worst
from edgegraph.studies.sweep.choice import Choice, find_knee, within_budget

if TYPE_CHECKING:
    import pandas as pd

PLAIN_OPTIONS = "default"
"""Label of the compiler options that every point of a sweep shares, without any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One batch size: what was predicted and what was measured.

    Attributes:
        batch: Batch size.
        dtype: Label of the dtype, None where the sweep does not vary it.
        options: Label of the compiler options, ``default`` for none beyond the shared ones.
        error: Why there is no measurement, in one line; None if all went well.
        latency: One blocking call after the other; None after an error.
        throughputs: Calls in flight at the same time, by queue depth.
        flops: FLOPs of one call.
        bytes: Bytes that its ops read and write.
        compute_time_s, memory_time_s: What the device needs at least for arithmetic and data;
            None without a device.
        bound: What binds most of the time at the roof.
        peak_memory_bytes: Arguments, results and temporaries as XLA allocates them.
        live_memory_bytes: The most bytes alive at once along the schedule.
        compile_s: Seconds in XLA's compiler.
        fingerprint: Digest of the StableHLO that the workload lowers to; None if it does not.
    """

    batch: Annotated[int, COUNT]
    dtype: str | None = None
    options: str = PLAIN_OPTIONS
    error: str | None = None
    latency: Latency | None = None
    throughputs: tuple[Throughput, ...] = ()
    flops: int | None = None
    bytes: int | None = None
    compute_time_s: Annotated[float | None, Column(heading="compute")] = None
    memory_time_s: Annotated[float | None, Column(heading="memory")] = None
    bound: str | None = None
    peak_memory_bytes: Annotated[int | None, Column(heading="peak")] = None
    live_memory_bytes: int | None = None
    compile_s: float | None = None
    fingerprint: str | None = None

    @property
    def latency_s(self) -> Annotated[float | None, Column(heading="latency")]:
        """Median latency of one call."""
        return None if self.latency is None else self.latency.median_s

    @property
    def latency_p90_s(self) -> Annotated[float | None, Column(heading="p90")]:
        """Latency that nine of ten calls keep; None where there are too few samples."""
        return None if self.latency is None else self.latency.p90_s

    @property
    def throughput(self) -> Throughput | None:
        """The highest throughput of all queue depths; of those that are OK, if any is."""
        return max(
            self.throughputs,
            key=lambda found: (found.verdict == OK, found.samples_per_s),
            default=None,
        )

    @property
    def throughput_per_s(self) -> Annotated[float | None, Column(heading="per s", write=si)]:
        """Samples per second with calls in flight together."""
        found = self.throughput
        return None if found is None else found.samples_per_s

    @property
    def queue_depth(self) -> Annotated[int | None, replace(COUNT, heading="in flight")]:
        """Calls that were in flight for that throughput."""
        found = self.throughput
        return None if found is None else found.queue_depth

    @property
    def overlapped_time_s(self) -> float | None:
        """Perfect overlap: the larger of the compute and the memory time."""
        if self.compute_time_s is None or self.memory_time_s is None:
            return None
        return max(self.compute_time_s, self.memory_time_s)

    @property
    def serial_time_s(self) -> float | None:
        """No overlap: the sum of the two."""
        if self.compute_time_s is None or self.memory_time_s is None:
            return None
        return self.compute_time_s + self.memory_time_s

    @property
    def verdict(self) -> str | None:
        """The worse of the verdicts on latency and throughput; None without measurement."""
        found = [each.verdict for each in (self.latency, self.throughput) if each is not None]
        return worst(found) if found else None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not OK; what is behind the worse one first."""
        found = [each for each in (self.latency, self.throughput) if each is not None]
        found.sort(key=lambda each: -SOUNDNESS.index(each.verdict))
        return tuple(dict.fromkeys(reason for each in found for reason in each.reasons))

    @property
    def series(self) -> tuple[str | None, str]:
        """Which curve the point belongs to: dtype and options."""
        return self.dtype, self.options


COLUMNS = columns_of(
    SweepPoint, "batch", "latency_s", "latency_p90_s", "throughput_per_s", "compute_time_s",
    "memory_time_s", "bound", "peak_memory_bytes", "error", "dtype", "options",
    "overlapped_time_s", "serial_time_s", "queue_depth", "verdict", "flops", "bytes",
    "live_memory_bytes", "compile_s",
)  # fmt: skip
"""Of the frame."""

in_document(SweepPoint, columns_of(SweepPoint, *COLUMNS, "reasons"))

_NOTED = [name for name, column in COLUMNS.items() if column.dtype != "string" and name != "batch"]
"""What the run database notes of a point."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Sweep(Study):
    """One workload over batch sizes, and where asked for over dtypes and compiler options.

    Attributes:
        workload: Name of the workload.
        target: What it was compiled for.
        device: The device whose roofs were used, or None.
        environment: Where and with what it was made.
        batches: The batch sizes that were asked for; an interrupted sweep has fewer points.
        options: XLA compiler options that all points share.
        option_sets: Further options, by the label of the set.
        max_latency_s: The latency budget, or None.
        points: In the order they were taken.
    """

    workload: str
    target: str
    device: Device | None
    environment: Environment
    batches: tuple[int, ...]
    options: Mapping[str, str | int | float | bool]
    option_sets: Mapping[str, Mapping[str, str | int | float | bool]]
    max_latency_s: float | None
    points: tuple[SweepPoint, ...]

    @property
    def series(self) -> Mapping[tuple[str | None, str], tuple[SweepPoint, ...]]:
        """The points by dtype and options, batches ascending."""
        curves: dict[tuple[str | None, str], list[SweepPoint]] = {}
        for point in self.points:
            curves.setdefault(point.series, []).append(point)
        return {
            name: tuple(sorted(points, key=lambda point: point.batch))
            for name, points in curves.items()
        }

    @property
    def knees(self) -> tuple[Choice, ...]:
        """Where throughput stops growing, curve by curve; see `find_knee` for the rule."""
        return tuple(find_knee(points) for points in self.series.values())

    def within(self, max_latency_s: float) -> tuple[Choice, ...]:
        """Choose the batch for a latency budget, curve by curve; see `within_budget`.

        Args:
            max_latency_s: The budget in seconds.
        """
        return tuple(within_budget(points, max_latency_s) for points in self.series.values())

    @property
    def budget(self) -> tuple[Choice, ...] | None:
        """The batch for the latency budget, curve by curve; None without one."""
        return None if self.max_latency_s is None else self.within(self.max_latency_s)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per point; times are seconds, unknown is NaN or <NA>."""
        return frame(self.points, COLUMNS)

    def __repr__(self) -> str:
        """Name the workload and what was swept."""
        done = {point.batch for point in self.points}
        span = f"batch {min(done)} to {max(done)}" if done else "no batch"
        return f"<Sweep {shown(self.workload)}: {span}, {len(self.points)} points>"

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the sweep says, in a line each: knees, then batches for the budget.

        Nothing, where it only predicts.
        """
        if all(point.latency is None and point.error is None for point in self.points):
            return ()
        several = len(self.series) > 1
        lines = [("knee", choice) for choice in self.knees]
        lines += [("budget", choice) for choice in self.budget or ()]
        return tuple(
            f"{what}{f' ({choice.label})' if several else ''}: {choice.reason}"
            for what, choice in lines
        )

    def run_notes(self) -> Notes:
        """Return what the run database notes of a sweep of one point."""
        (point,) = self.points
        return Notes(
            workload=self.workload,
            fingerprint=point.fingerprint,
            batch=point.batch,
            dtype=point.dtype,
            target=self.target,
            options={**self.options, **self.option_sets.get(point.options, {})},
            environment=self.environment,
            error=point.error,
            verdict=point.verdict,
            metrics=numbers(
                [
                    *((name, getattr(point, name)) for name in _NOTED),
                    *timed(point.latency, point.throughput).items(),
                ]
            ),
        )

    @property
    def parts(self) -> tuple[Self, ...]:
        """The sweep once for every point, with that point alone.

        Choices are made when all are together again.
        """
        return tuple(
            replace(
                self,
                batches=(point.batch,),
                option_sets={
                    name: extra for name, extra in self.option_sets.items() if name == point.options
                },
                points=(point,),
            )
            for point in self.points
        )

    def joined(self, parts: Sequence[Self]) -> Self:
        """Return the sweep with the points of all its parts."""
        points = tuple(point for part in parts for point in part.points)
        sets = {name: extra for part in parts for name, extra in part.option_sets.items()}
        batches = tuple(sorted({point.batch for point in points}))
        return replace(self, batches=batches, option_sets=sets, points=points)


in_document(Sweep, more=["knees", "budget", "conclusions"])
