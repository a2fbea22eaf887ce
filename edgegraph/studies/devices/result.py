"""The same program on several devices, and several programs on the same device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from edgegraph.base.shown import shown
from edgegraph.base.units import percent, seconds, si
from edgegraph.cost.cost import known_sum
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.analysis import Analysis, Environment, OpRecord
from edgegraph.results.base import Notes, Study
from edgegraph.results.columns import COUNT, SHARE, Column, columns_of, frame
from edgegraph.results.form import in_document

if TYPE_CHECKING:
    import pandas as pd


MEASURED = "measured"
EXPECTED = "expected"
AT_THE_ROOF = "at the roof"

ROOM = 0.25
"""Share of the memory that the largest batch leaves to the system, the framework and what lies
between arrays: JAX itself takes three quarters of a GPU's memory unless it is told otherwise
(https://docs.jax.dev/en/latest/gpu_memory_allocation.html)."""

_COVERED = 0.99
"""Share of the time at the roof from which a compiler's estimate is taken to be of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpKind:
    """The ops of one kind in one program.

    Where a compiler fused products of several kinds into one kernel, its estimate stands as a
    kind of its own (``depthwise convolution + matrix product``), which counts nothing else.

    Attributes:
        kind: ``convolution``, ``depthwise convolution``, ``matrix product``, ``elementwise``, ...
        ops: How many there are.
        macs, flops: Of all of them in one call.
        time_s: Their best known times added up: measured where they were, else at their roofs.
        compiler_time_s: What the device's compiler estimates of kernels with products of this
            kind, or without any; None where it says nothing.
    """

    kind: Annotated[str, Column(heading="kind of op")]
    ops: int
    macs: Annotated[int, Column(heading="MACs")]
    flops: int
    time_s: float
    compiler_time_s: Annotated[float | None, Column(heading="compiler")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """One workload on one device at one batch size.

    Attributes:
        workload: Name of the workload.
        device: As it was asked for: ``cpu``, ``tpu:v5e``, ``gpu:orin``, ``device:rpi5``.
        device_name: Its full name; None where there is none.
        batch: Batch size, or None.
        error: Why there are no figures; None where there are.
        macs, flops, bytes: Of one call; bytes read and written.
        compute_time_s, memory_time_s: What the device needs at least for arithmetic and data.
        low_s: No execution is faster: all arithmetic overlaps with all data.
        roof_s: Every op at its own roof, one after the other.
        high_s: As if nothing overlapped: arithmetic and data one after the other.
        expected_s, expected_low_s, expected_high_s: What to expect by the device's own calibration;
            of a ``device:`` without one a first guess, by how near this machine's kernels come to
            its peak. None where this machine was not calibrated, or a compiler is for others.
        compiler_time_s: What the device's own compiler estimates; None where it does not.
        compiler_coverage: Share of the time at the roof that is of ops with such an estimate;
            below 1, `compiler_time_s` lacks some kernels.
        measured_s: Measured here; None on a device that is not here.
        verdict: Of the measurement.
        bound: What binds most of the time.
        memory_bound_share: Share of `roof_s` in which ops wait for memory.
        kinds: Where the arithmetic and the time go, by kind of op.
        weights_bytes: Parameters of the model.
        activation_bytes: Peak of the activations as the model is written, inputs included, with
            all that a later op still reads; None where unknown.
        needed_bytes: Arguments with weights, results and temporaries of the compiled program; on
            a device without a compiler weights and peak activations, if that is more.
        capacity_bytes: Main memory of the device; None where unknown.
        memory: Name of that memory: ``DRAM``, ``HBM``, ``SRAM``; None where unknown.
        largest_batch: The largest batch size that fits and leaves `ROOM` of the memory to the
            system (of a TPU nothing), found by compiling; None where that was not asked for, or is
            unknown.
    """

    workload: str
    device: str
    device_name: str | None = None
    batch: Annotated[int | None, COUNT]
    error: str | None = None
    macs: int | None = None
    flops: int | None = None
    bytes: int | None = None
    compute_time_s: float | None = None
    memory_time_s: float | None = None
    low_s: float | None = None
    roof_s: float | None = None
    high_s: float | None = None
    expected_s: Annotated[float | None, Column(heading="expected")] = None
    compiler_time_s: Annotated[float | None, Column(heading="compiler")] = None
    compiler_coverage: float | None = None
    measured_s: Annotated[float | None, Column(heading="measured")] = None
    verdict: str | None = None
    bound: str | None = None
    memory_bound_share: float | None = None
    weights_bytes: int | None = None
    activation_bytes: int | None = None
    needed_bytes: Annotated[int | None, Column(heading="memory")] = None
    capacity_bytes: int | None = None
    memory: str | None = None
    largest_batch: int | None = None
    kinds: tuple[OpKind, ...] = ()
    expected_low_s: float | None = None
    expected_high_s: float | None = None

    @property
    def fits(self) -> bool | None:
        """Whether it fits into the device's memory, weights included; None where unknown."""
        if self.needed_bytes is None or self.capacity_bytes is None:
            return None
        return self.needed_bytes <= self.capacity_bytes

    @property
    def whole_compiler_time_s(self) -> float | None:
        """The compiler's estimate, where it is of all that matters; else None."""
        covered = (self.compiler_coverage or 0.0) >= _COVERED
        return self.compiler_time_s if covered else None

    @property
    def needed_beside_weights_bytes(self) -> int | None:
        """What has to be held where the weights stay in flash, as on a microcontroller."""
        if self.needed_bytes is None or self.weights_bytes is None:
            return None
        return self.needed_bytes - self.weights_bytes

    @property
    def time_s(self) -> float | None:
        """The best known time: measured, else expected, else every op at its roof."""
        return self.measured_s or self.expected_s or self.roof_s

    @property
    def time_source(self) -> str | None:
        """Where `time_s` comes from: ``measured``, ``expected`` or ``at the roof``."""
        times = {MEASURED: self.measured_s, EXPECTED: self.expected_s, AT_THE_ROOF: self.roof_s}
        return next((source for source, time_s in times.items() if time_s), None)

    @property
    def utilisation(self) -> Annotated[float | None, Column(heading="used", write=percent)]:
        """The share of the peak rate that is used: T_compute over `time_s`.

        None of a time at the roof, of which it says nothing.
        """
        timed = self.measured_s or self.expected_s
        if not timed or self.compute_time_s is None:
            return None
        return self.compute_time_s / timed

    @property
    def throughput_per_s(self) -> Annotated[float | None, Column(heading="per s", write=si)]:
        """Examples per second at `time_s`."""
        return None if not self.time_s else (self.batch or 1) / self.time_s


COLUMNS = columns_of(DeviceRow) | columns_of(
    DeviceRow, "fits", "needed_beside_weights_bytes", "time_s", "time_source", "utilisation",
    "throughput_per_s",
)  # fmt: skip
"""Of the frame."""

in_document(DeviceRow, COLUMNS | columns_of(DeviceRow, "kinds"))

KIND_COLUMNS = {
    **columns_of(DeviceRow, "workload", "device", "batch"),
    **columns_of(OpKind),
    "macs_share": SHARE,
    "time_share": SHARE,
}
"""Of the frame of kinds."""


@dataclass(frozen=True, kw_only=True, repr=False)
class DeviceComparison(Study):
    """Workloads, devices and batch sizes, side by side.

    Attributes:
        rows: Workloads one after the other, then devices, then batch sizes.
        environment: Where and with what it was made.
    """

    rows: tuple[DeviceRow, ...]
    environment: Environment

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per workload, device and batch size, with the columns of `DeviceRow`."""
        return frame(self.rows, COLUMNS)

    @cached_property
    def kinds_frame(self) -> pd.DataFrame:
        """One row per workload, device, batch size and kind of op, with its shares of the whole."""
        of = [(row, kind) for row in self.rows for kind in row.kinds]
        macs = {row: sum(kind.macs for kind in row.kinds) for row in self.rows}
        times_s = {row: sum(kind.time_s for kind in row.kinds) for row in self.rows}
        return frame(
            (kind for _, kind in of),
            KIND_COLUMNS,
            workload=[row.workload for row, _ in of],
            device=[row.device for row, _ in of],
            batch=[row.batch for row, _ in of],
            macs_share=[kind.macs / macs[row] if macs[row] else None for row, kind in of],
            time_share=[kind.time_s / times_s[row] if times_s[row] else None for row, kind in of],
        )

    def __repr__(self) -> str:
        """Name the fastest and the slowest."""
        timed = sorted((row.low_s, row.device) for row in self.rows if row.low_s is not None)
        ends = [f"{device} at least {seconds(time_s)}" for time_s, device in timed]
        said = " ... ".join(dict.fromkeys((ends[0], ends[-1]))) if ends else "no figures"
        return f"<DeviceComparison of {len(self.rows)} rows: {shown(said)}>"

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names of what was compared."""
        return tuple(dict.fromkeys(row.workload for row in self.rows))

    def run_notes(self) -> Notes:
        """Return what the run database notes: what was compared, without a figure of the whole."""
        batches = {row.batch for row in self.rows}
        return Notes(
            workload=", ".join(self.workloads),
            batch=batches.pop() if len(batches) == 1 else None,
            target=", ".join(dict.fromkeys(row.device for row in self.rows)),
            options={},
            environment=self.environment,
            metrics={},
        )


def op_kinds(analysis: Analysis) -> tuple[OpKind, ...]:
    """Add up the ops of each kind, that of the most time first; none without time and MACs.

    A compiler's estimate is of a whole kernel: it goes to the kind of the products in it, to
    several kinds together where they are fused, and else to that of what takes most time.
    """
    nodes = flatten(analysis.module)
    shapes = {node.name: node.instruction.shape for node in nodes}
    kinds: dict[str, str] = {}
    ops: dict[str, list[OpRecord]] = {}
    for node, record in zip(nodes, analysis.op_records, strict=True):
        counts = record.macs or record.time_s or record.compiler_time_s
        if counts and analysis.op_tree.is_leaf(record):
            operands = [shapes[operand] for operand in node.operands]
            kind = kinds[record.name] = kind_of(node.instruction, operands, record.macs)
            ops.setdefault(kind, []).append(record)
    estimates = _estimates(analysis.op_tree, kinds)
    found = [
        OpKind(
            kind=kind,
            ops=len(ops.get(kind, ())),
            macs=known_sum(record.macs for record in ops.get(kind, ())),
            flops=known_sum(record.flops for record in ops.get(kind, ())),
            time_s=sum(record.time_s or 0.0 for record in ops.get(kind, ())),
            compiler_time_s=estimates.get(kind),
        )
        for kind in dict.fromkeys((*ops, *estimates))
    ]
    return tuple(sorted(found, key=lambda kind: (-kind.time_s, -(kind.compiler_time_s or 0.0))))


def _estimates(tree: OpTree[OpRecord], kinds: Mapping[str, str]) -> dict[str, float]:
    """Add up the compiler's estimates of kernels, by the kinds of the products in each."""
    found: dict[str, float] = {}
    for kernel in tree.kernels:
        ops = [op for op in kernel.leaves if op.name in kinds]
        if ops and kernel.head.compiler_time_s is not None:
            products = sorted({kinds[op.name] for op in ops if op.macs})
            longest = max(ops, key=lambda op: op.time_s or 0.0)
            kind = " + ".join(products) or kinds[longest.name]
            found[kind] = found.get(kind, 0.0) + kernel.head.compiler_time_s
    return found


def kind_of(instruction: Instruction, operands: Sequence[Shape], macs: int | None) -> str:
    """Name the kind of an op by its operands' shapes; convolutions of a GPU are custom calls.

    A convolution whose window is one element is a matrix product, as compilers see it too.
    """
    dimensions, groups = instruction.convolution, instruction.feature_group_count
    if dimensions is not None and operands:
        if groups > 1:
            channels = operands[0].dimensions[dimensions.input_feature]
            return "depthwise convolution" if channels == groups else "grouped convolution"
        spatial = any(axis.size > 1 for axis in instruction.window)
        return "convolution" if spatial else "matrix product"
    opcode = instruction.opcode
    if macs or opcode in opcodes.DOTS:
        return "matrix product"
    if opcode in opcodes.COLLECTIVES:
        return "collective"
    if opcode in opcodes.REDUCTIONS:
        return "reduction"
    if opcode in opcodes.MOVEMENTS:
        return "data movement"
    return "library call" if opcode == "custom-call" else "elementwise"
