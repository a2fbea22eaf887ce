"""One workload over more and more chips: what each does, sends, and waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from edgegraph.base.shown import shown
from edgegraph.base.units import percent
from edgegraph.device.device import Device
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study
from edgegraph.results.columns import COUNT, RATIO, SHARE, Column, columns_of, frame
from edgegraph.results.form import in_document, told
from edgegraph.results.timing import Latency

if TYPE_CHECKING:
    import pandas as pd

WEAK = "weak"
"""The batch of every chip stays the same; the batch over all grows with the chips."""
STRONG = "strong"
"""The batch over all chips stays the same; every chip gets a smaller part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveUse:
    """All collectives of one kind in one call of the program.

    Attributes:
        opcode: ``all-reduce``, ``all-gather``, ``reduce-scatter``, ``all-to-all``, ...
        count: How often one runs; None if unknown.
        wire_bytes: What each chip sends; None if unknown.
        network_time_s: That over the bandwidth of its links; None if either is unknown.
        exposed_s: How long the compute waits for them; None if unknown.
    """

    opcode: str
    count: int | None
    wire_bytes: int | None
    network_time_s: float | None
    exposed_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPoint:
    """One mesh of chips; all figures are of one chip, unless they say otherwise.

    Attributes:
        scaling: ``weak`` or ``strong``.
        data, tensor: Sides of the mesh.
        batch: Over all chips.
        target: What it was compiled for, with the chips that there are.
        error: Why there are no figures, in one line; None if all went well.
        flops: FLOPs of one call.
        compute_time_s, memory_time_s, network_time_s: What it needs at least for arithmetic,
            data, and what it sends to others; None without a device, or its links.
        step_s: One call as its schedule plays out with every op at its roof; at least the largest
            of the three, as what runs side by side shares them.
        bound: The largest of the three.
        collectives: What is exchanged.
        peak_memory_bytes: Arguments, results and temporaries as XLA allocates them.
        fits: Whether that is no more than the chip's memory; None if either is unknown.
        latency: Measured, where the chips are cores of this host.
        compile_s: Seconds in XLA's compiler.
    """

    scaling: str
    data: int
    tensor: int
    batch: Annotated[int, COUNT]
    target: str
    error: str | None = None
    flops: int | None = None
    compute_time_s: Annotated[float | None, Column(heading="compute")] = None
    memory_time_s: Annotated[float | None, Column(heading="memory")] = None
    network_time_s: Annotated[float | None, Column(heading="network")] = None
    step_s: float | None = None
    bound: str | None = None
    collectives: tuple[CollectiveUse, ...] = ()
    peak_memory_bytes: Annotated[int | None, Column(heading="peak")] = None
    fits: bool | None = None
    latency: Latency | None = None
    compile_s: float | None = None

    @property
    def chips(self) -> int:
        """How many there are."""
        return self.data * self.tensor

    @property
    def mesh(self) -> str:
        """The mesh in words: ``data 4 x tensor 2``."""
        sides = [("data", self.data), ("tensor", self.tensor)]
        return " x ".join(f"{name} {size}" for name, size in sides if size > 1) or "one chip"

    @property
    def latency_s(self) -> float | None:
        """Measured median latency."""
        return None if self.latency is None else self.latency.median_s

    @property
    def verdict(self) -> str | None:
        """Of the measurement; None without one."""
        return None if self.latency is None else self.latency.verdict

    @property
    def time_s(self) -> Annotated[float | None, Column(heading="step")]:
        """The measured time of a step, else the predicted one."""
        return self.latency_s if self.latency_s is not None else self.step_s

    @property
    def throughput_per_s(self) -> float | None:
        """Samples per second of all chips together."""
        return self.batch / self.time_s if self.time_s else None

    @property
    def wire_bytes(self) -> Annotated[int | None, Column(heading="sent")]:
        """What the chip sends to others; None if unknown of any collective."""
        sent = [each.wire_bytes for each in self.collectives]
        return None if None in sent else sum(each for each in sent if each is not None)

    @property
    def exposed_network_s(self) -> Annotated[float | None, Column(heading="exposed")]:
        """How long the compute waits for the network; None if unknown of any collective."""
        waits = [each.exposed_s for each in self.collectives]
        return None if None in waits else sum(each for each in waits if each is not None)


COLUMNS = {
    **columns_of(
        ScalingPoint, "scaling", "data", "tensor", "chips", "batch", "step_s", "throughput_per_s"
    ),
    "speedup": replace(
        RATIO, type=float | None, about="Throughput over that of one chip; see `Scaling.speedup`."
    ),
    "efficiency": replace(
        SHARE, type=float | None, heading="of perfect", about="The speedup over the chips."
    ),
    **columns_of(
        ScalingPoint, "compute_time_s", "memory_time_s", "network_time_s", "exposed_network_s",
        "bound", "flops", "wire_bytes", "peak_memory_bytes", "fits", "latency_s", "verdict",
        "target", "compile_s", "error",
    ),
}  # fmt: skip
"""Of the frame."""

in_document(ScalingPoint, COLUMNS | columns_of(ScalingPoint, "collectives"))


@dataclass(frozen=True, kw_only=True, repr=False)
class Scaling(Study):
    """One workload over meshes of chips.

    Attributes:
        workload: Name of the workload.
        target: What was asked for, such as ``tpu:v5e``.
        device: One chip, or None where its roofs are not known.
        environment: Where and with what it was made.
        points: Weak scaling first, then strong; by number of chips.
    """

    workload: str
    target: str
    device: Device | None
    environment: Environment
    points: tuple[ScalingPoint, ...]

    @property
    def series(self) -> Mapping[str, tuple[ScalingPoint, ...]]:
        """The points by the way of scaling."""
        found: dict[str, list[ScalingPoint]] = {}
        for point in self.points:
            found.setdefault(point.scaling, []).append(point)
        return {scaling: tuple(points) for scaling, points in found.items()}

    def speedup(self, point: ScalingPoint) -> float | None:
        """Return its throughput over that of the fewest chips of its series, times those chips.

        A perfect one is the number of chips.
        """
        first = next((p for p in self.series[point.scaling] if p.throughput_per_s), None)
        if first is None or not point.throughput_per_s or not first.throughput_per_s:
            return None
        return first.chips * point.throughput_per_s / first.throughput_per_s

    def efficiency(self, point: ScalingPoint) -> float | None:
        """Return its speedup over its chips: 1 is perfect."""
        speedup = self.speedup(point)
        return None if speedup is None else speedup / point.chips

    def binds_at(self, scaling: str) -> ScalingPoint | None:
        """Return the first mesh at which the network takes longer than arithmetic and data."""
        return next((p for p in self.series.get(scaling, ()) if p.bound == "network"), None)

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What it says, in a line for each way of scaling."""
        return tuple(self._conclude(name, points) for name, points in self.series.items())

    def _conclude(self, scaling: str, points: Sequence[ScalingPoint]) -> str:
        known = [point for point in points if point.error is None]
        if not known:
            return f"{scaling} scaling: no mesh was compiled"
        last, binds = known[-1], self.binds_at(scaling)
        efficiency = self.efficiency(last)
        kept = "" if efficiency is None else f"{percent(efficiency)} of perfect at {last.chips}"
        if self.device is None or self.device.network_bytes_per_s is None:
            return f"{scaling} scaling: {kept} chips; the network's bandwidth is not known"
        if binds is None:
            return f"{scaling} scaling: {kept} chips; the network binds at none of them"
        return f"{scaling} scaling: {kept} chips; the network binds from {binds.mesh} on"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per mesh; times are seconds, unknown is NaN or <NA>."""
        return frame(
            self.points,
            COLUMNS,
            speedup=[self.speedup(point) for point in self.points],
            efficiency=[self.efficiency(point) for point in self.points],
        )

    @property
    def document(self) -> dict[str, Any]:
        """The study as a JSON object of the published schema."""
        names = (*COLUMNS, "collectives")
        return told(
            self,
            points=[{name: self._value(point, name) for name in names} for point in self.points],
        )

    def _value(self, point: ScalingPoint, column: str) -> Any:
        if column in ("speedup", "efficiency"):
            return getattr(self, column)(point)
        return getattr(point, column)

    def __repr__(self) -> str:
        """Name the workload and the meshes."""
        most = max((point.chips for point in self.points), default=0)
        name = f"{shown(self.workload)} on {self.target}"
        return f"<Scaling {name}: {len(self.points)} meshes, to {most}>"

    def run_notes(self) -> Notes:
        """Return what the run database notes: how far the most chips are from perfect."""
        figures: dict[str, float] = {}
        for scaling, points in self.series.items():
            known = [point for point in points if self.efficiency(point) is not None]
            if known:
                figures[f"{scaling}_chips"] = known[-1].chips
                figures[f"{scaling}_efficiency"] = self.efficiency(known[-1]) or 0.0
        return Notes(
            workload=self.workload,
            target=self.target,
            options={},
            environment=self.environment,
            metrics=figures,
        )


in_document(Scaling, more=["conclusions"])
