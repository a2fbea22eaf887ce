"""Where it helps to do two things at once: arithmetic and data, calls, host and device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from edgegraph.base.shown import shown
from edgegraph.base.units import seconds
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import SHARE, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.schedule import Schedule
from edgegraph.results.timing import InputOverlap, Latency, Throughput, best_throughput, timed
from edgegraph.results.verdicts import worst

if TYPE_CHECKING:
    import pandas as pd

BELOW, WITHIN, ABOVE, UNCLEAR = "below", "within", "above", "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """A measured time against what arithmetic and data need.

    Attributes:
        layer: Path of the layer, or None for the whole program.
        phase: Phase of the layer, or None for the whole program.
        time_s: Measured; of a layer, compiled alone and less the dispatch floor.
        compute_time_s, memory_time_s: What the device needs at least for arithmetic and data.
        noise: Relative uncertainty of `time_s`: its interquartile range over the median.
    """

    layer: str | None
    phase: str | None
    time_s: Annotated[float, Column(heading="time")]
    compute_time_s: Annotated[float, Column(heading="T_compute")]
    memory_time_s: Annotated[float, Column(heading="T_memory")]
    noise: float

    @property
    def overlapped_s(self) -> float:
        """Perfect overlap: the larger of the two."""
        return max(self.compute_time_s, self.memory_time_s)

    @property
    def serial_s(self) -> float:
        """No overlap: the sum of the two."""
        return self.compute_time_s + self.memory_time_s

    @property
    def place(self) -> str:
        """Where the time lies: ``below``, ``within`` or ``above`` the bracket.

        Below, the device's peaks are too low. Above, more than missing overlap costs time:
        low efficiency, launching, latencies. It is ``unclear`` outside by less than the noise.
        """
        margin_s = self.noise * self.time_s
        if self.overlapped_s <= self.time_s <= self.serial_s:
            return WITHIN
        if self.time_s > self.serial_s:
            return ABOVE if self.time_s - margin_s > self.serial_s else UNCLEAR
        return BELOW if self.time_s + margin_s < self.overlapped_s else UNCLEAR

    @property
    def overlap(self) -> Annotated[float | None, SHARE]:
        """How much of what could overlap did: 1 all, 0 none.

        It is (serial - time) / (serial - overlapped), negative above the bracket. None where the
        bracket is narrower than the noise, so that it cannot tell.
        """
        width_s = self.serial_s - self.overlapped_s
        if width_s <= 2 * self.noise * self.time_s:
            return None
        return (self.serial_s - self.time_s) / width_s


COLUMNS = columns_of(Bracket) | columns_of(Bracket, "overlapped_s", "serial_s", "place", "overlap")
"""Of the frame."""

in_document(Bracket, COLUMNS)


@dataclass(frozen=True, kw_only=True, repr=False)
class OverlapStudy(Study):
    """Where overlap helps one program on this machine.

    Attributes:
        workload: Name of the workload.
        batch: Batch size, or None.
        target: What it was compiled for.
        device: Name of the device whose roofs make the brackets, or None.
        environment: Where and with what it was made.
        latency: One blocking call after the other.
        throughputs: Calls in flight at the same time, by queue depth.
        whole: The program in its bracket; None without a device.
        layers: Its layers, each compiled alone, in theirs.
        schedule: The schedule with its asynchronous operations and the critical path.
        host_input: Host and device side by side; None where no input pipeline was given.
    """

    workload: str
    batch: int | None
    target: str
    device: str | None
    environment: Environment
    latency: Latency
    throughputs: tuple[Throughput, ...]
    whole: Bracket | None
    layers: tuple[Bracket, ...]
    schedule: Schedule | None
    host_input: InputOverlap | None

    @property
    def dispatch_gain(self) -> float | None:
        """Calls per second with the best queue depth over those one by one; None if unknown.

        What it gains is the time in which the host gets the next call ready.
        """
        best = max((found.calls_per_s for found in self.throughputs), default=None)
        return None if best is None else best * self.latency.median_s

    @property
    def verdict(self) -> str:
        """``OK``, or the worst verdict of what was measured."""
        verdicts = [self.latency.verdict, *(found.verdict for found in self.throughputs)]
        if self.host_input is not None:
            verdicts.append(self.host_input.verdict)
        return worst(verdicts)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per bracket, the whole program first.

        The columns are those of `Bracket`, then ``overlapped_s serial_s place overlap``.
        """
        return frame(self.brackets, COLUMNS)

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The whole program, then its layers, each in its bracket."""
        return (*([self.whole] if self.whole else []), *self.layers)

    def __repr__(self) -> str:
        """Name the program and what was measured of it."""
        at = "" if self.batch is None else f", batch {self.batch}"
        return f"<OverlapStudy {shown(self.workload)}{at}: {seconds(self.latency.median_s)}>"

    def run_notes(self) -> Notes:
        """Return what the run database notes: the program measured as a whole."""
        figures = timed(self.latency, best_throughput(self.throughputs))
        return Notes(
            workload=self.workload,
            batch=self.batch,
            verdict=self.verdict,
            target=self.target,
            options={},
            environment=self.environment,
            metrics=numbers((figures | {"dispatch_gain": self.dispatch_gain}).items()),
        )


in_document(
    OverlapStudy,
    columns_of(
        OverlapStudy, "workload", "batch", "target", "device", "environment", "latency",
        "throughputs", "dispatch_gain", "brackets", "schedule", "host_input", "verdict",
    ),
)  # fmt: skip
