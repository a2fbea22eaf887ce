"""Latency against throughput: one program at many batch sizes, or along other axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

from edgegraph.base.axes import BATCH, fixed_name, sizes_in_words
from edgegraph.base.shown import shown
from edgegraph.base.units import si
from edgegraph.device.device import Device
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.timing import Latency, Throughput, timed
from edgegraph.results.verdicts import OK, SOUNDNESS, worst
from edgegraph.studies.sweep.choice import Choice, curve_name, find_knee, within_budget
from edgegraph.studies.sweep.growth import Growth, LayerCost, Overtaking, grow, overtakings

if TYPE_CHECKING:
    import pandas as pd

_Found = TypeVar("_Found", Growth, Overtaking)

PLAIN_OPTIONS = "default"
"""Label of the compiler options that every point of a sweep shares, without any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One batch size, and sizes along other axes: what was predicted and what was measured.

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
        sizes: Sizes along the axes besides the batch, by name.
        layers: What layers cost, where there are such axes.
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
    sizes: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[LayerCost, ...] = ()

    def size(self, axis: str) -> int:
        """Return its size along an axis: the batch or another."""
        return self.batch if axis == BATCH else self.sizes[axis]

    @property
    def label(self) -> str:
        """Its sizes in words: ``batch 8, length 512``."""
        return sizes_in_words({BATCH: self.batch, **self.sizes})

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

in_document(SweepPoint, columns_of(SweepPoint, *COLUMNS, "reasons", "sizes", "layers"))
in_document(Growth, more=["formula"])

_NOTED = [name for name, column in COLUMNS.items() if column.dtype != "string" and name != "batch"]
"""What the run database notes of a point."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Sweep(Study):
    """One workload over batch sizes, and where asked for along another axis of its own.

    There may be a curve for each of several dtypes and sets of compiler options.

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
        axes: Sizes along the axes besides the batch that were asked for, by name.
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
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def varied(self) -> tuple[str, ...]:
        """The axes along which there are several sizes; the batch alone where there is none."""
        along = {BATCH: self.batches, **self.axes}
        return tuple(axis for axis, sizes in along.items() if len(sizes) > 1) or (BATCH,)

    def curves(self, axis: str) -> tuple[tuple[SweepPoint, ...], ...]:
        """Return the points that differ along one axis alone, ascending, curve by curve."""
        found: dict[object, list[SweepPoint]] = {}
        for point in self.points:
            rest = [point.size(other) for other in (BATCH, *self.axes) if other != axis]
            found.setdefault((point.series, *rest), []).append(point)
        return tuple(
            tuple(sorted(points, key=lambda point: point.size(axis))) for points in found.values()
        )

    @property
    def series(self) -> Mapping[tuple[str | None, str], tuple[SweepPoint, ...]]:
        """The points by dtype and options, batches ascending, and sizes along other axes before."""
        curves: dict[tuple[str | None, str], list[SweepPoint]] = {}
        for point in self.points:
            curves.setdefault(point.series, []).append(point)
        return {
            name: tuple(
                sorted(points, key=lambda point: (*map(point.size, self.axes), point.batch))
            )
            for name, points in curves.items()
        }

    @property
    def knees(self) -> tuple[Choice, ...]:
        """Where throughput stops growing, axis by axis, curve by curve; see `find_knee`."""
        return tuple(
            find_knee(points, axis) for axis in self.varied for points in self.curves(axis)
        )

    def within(self, max_latency_s: float) -> tuple[Choice, ...]:
        """Choose the batch for a latency budget, curve by curve; see `within_budget`.

        Where one batch alone was swept, that is the size along the other axis.

        Args:
            max_latency_s: The budget in seconds.
        """
        axis = self.varied[0]
        return tuple(within_budget(points, max_latency_s, axis) for points in self.curves(axis))

    @property
    def budget(self) -> tuple[Choice, ...] | None:
        """The batch for the latency budget, curve by curve; None without one."""
        return None if self.max_latency_s is None else self.within(self.max_latency_s)

    @property
    def growth(self) -> tuple[Growth, ...]:
        """How figures grow along the axes besides the batch, curve by curve."""
        return self._along_axes(grow)

    @property
    def overtakings(self) -> tuple[Overtaking, ...]:
        """Where along these axes another layer becomes the largest beside its like."""
        return self._along_axes(overtakings)

    def _along_axes(self, find: Callable[..., tuple[_Found, ...]]) -> tuple[_Found, ...]:
        return tuple(
            found
            for axis in self.varied
            for points in self.curves(axis)
            if axis != BATCH
            for found in find(points, axis, _others(points[0], axis))
        )

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per point; times are seconds, unknown is NaN or <NA>.

        Behind ``batch`` is a column for each axis besides it, called like it.
        """
        import pandas as pd

        made = frame(self.points, COLUMNS)
        for position, axis in enumerate(self.axes, start=1):
            sizes = [point.sizes[axis] for point in self.points]
            made.insert(position, axis, pd.Series(sizes, dtype="Int64"))
        return made

    def __repr__(self) -> str:
        """Name the workload and what was swept."""
        return f"<Sweep {shown(self.workload)}: {self.span}, {len(self.points)} points>"

    @property
    def span(self) -> str:
        """What has been swept: ``batch 1 to 64, length 128 to 2048``."""
        if not self.points:
            return "no batch"
        said = []
        for axis in (BATCH, *self.axes):
            done = [point.size(axis) for point in self.points]
            said.append(f"{axis} {' to '.join(map(str, dict.fromkeys((min(done), max(done)))))}")
        return ", ".join(said)

    @property
    def has_figure(self) -> bool:
        """Whether there is something to draw: what was measured, or predicted along other axes."""
        return any(
            point.latency is not None or (point.sizes and point.overlapped_time_s)
            for point in self.points
        )

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the sweep says, in a line each: knees, sizes for the budget, growth by axis.

        Nothing of measurements, where it only predicts.
        """
        lines: list[tuple[str, Choice | Growth | Overtaking, str]] = []
        if any(point.latency is not None or point.error is not None for point in self.points):
            lines += [("knee", choice, choice.reason) for choice in self.knees]
            lines += [("budget", choice, choice.reason) for choice in self.budget or ()]
        lines += [
            (f"along {own[0].axis}", own[0], "; ".join(each.words for each in own))
            for own in self._grown()
        ]
        lines += [(f"along {each.axis}", each, each.words) for each in self.overtakings]
        curves: dict[tuple[str, str, str], list[str]] = {}
        for what, found, said in lines:
            name = self._curve(found)
            # Growth that is told alike of several curves is told once.
            apart = name if isinstance(found, Choice) else ""
            curves.setdefault((what, said, apart), []).append(name)
        return tuple(
            f"{what} ({'; '.join(names)}): {said}" if any(names) else f"{what}: {said}"
            for (what, said, _), names in curves.items()
        )

    def _grown(self) -> Iterable[Sequence[Growth]]:
        """Return what grows along one curve together."""
        curves: dict[object, list[Growth]] = {}
        for each in self.growth:
            key = (each.axis, each.dtype, each.options, *each.at.values())
            curves.setdefault(key, []).append(each)
        return curves.values()

    def _curve(self, found: Choice | Growth | Overtaking) -> str:
        """Name the curve that something is of, where there are several."""
        names = [curve_name(found.dtype, found.options)] if len(self.series) > 1 else []
        if len(self.varied) > 1:
            at = {axis: found.at[axis] for axis in self.varied if axis in found.at}
            names.append(sizes_in_words(at))
        return ", ".join(names)

    def run_notes(self) -> Notes:
        """Return what the run database notes of a sweep of one point."""
        (point,) = self.points
        return Notes(
            workload=fixed_name(self.workload, point.sizes),
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
                axes={axis: (size,) for axis, size in point.sizes.items()},
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
        axes = {axis: tuple(sorted({point.sizes[axis] for point in points})) for axis in self.axes}
        return replace(self, batches=batches, axes=axes, option_sets=sets, points=points)


def _others(point: SweepPoint, axis: str) -> dict[str, int]:
    sizes = {BATCH: point.batch, **point.sizes}
    return {other: size for other, size in sizes.items() if other != axis}


in_document(Sweep, more=["knees", "budget", "growth", "overtakings", "conclusions"])
