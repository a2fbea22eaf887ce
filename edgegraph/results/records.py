"""One record per op and one per layer: what they cost, and what binds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from msgspec import Struct

from edgegraph.base.units import percent
from edgegraph.device.device import overlapped
from edgegraph.results.columns import SHARE, Column, columns_of

PHASES = ("forward", "backward", "rematerialised", "update")

ALL_PHASES = "all"
"""Phase of a row that is of all of them."""

VIEWS = ("layer", "function", "line")
"""By what ops can be added up."""

_SUM = Column(adds="sum")
Count = Annotated[int | None, _SUM]
"""Adds up over ops and layers; None where it is unknown."""

Seconds = Annotated[float | None, _SUM]
"""Likewise."""

Largest = Annotated[int | None, Column(adds="largest")]
Macs = Annotated[int | None, Column(adds="sum", heading="MACs", zero=False)]
Flops = Annotated[int | None, Column(adds="sum", heading="FLOP")]
Params = Annotated[int | None, Column(adds="sum", zero=False)]


class Moves(Protocol):
    """What says how many bytes it moves: a record, or a cost."""

    @property
    def bytes_read(self) -> int | None:
        """Bytes read."""

    @property
    def bytes_written(self) -> int | None:
        """Bytes written."""

    @property
    def on_chip_bytes(self) -> int | None:
        """Those of both that stay on the chip."""


def main_memory_bytes(what: Moves) -> int | None:
    """Return the bytes read from main memory and written to it, or None where unknown."""
    if what.bytes_read is None or what.bytes_written is None or what.on_chip_bytes is None:
        return None
    return what.bytes_read + what.bytes_written - what.on_chip_bytes


class _Priced(Moves, Protocol):
    """A record of what is done, and how long it takes at the roofs."""

    @property
    def flops(self) -> int | None: ...
    @property
    def compute_time_s(self) -> float | None: ...
    @property
    def memory_time_s(self) -> float | None: ...
    @property
    def network_time_s(self) -> float | None: ...


class _Derived:
    """Figures that follow from those of a record."""

    __slots__ = ()

    @property
    def bytes(self: _Priced) -> int | None:
        """Bytes read and written; None where unknown."""
        if self.bytes_read is None or self.bytes_written is None:
            return None
        return self.bytes_read + self.bytes_written

    @property
    def intensity_flops_per_byte(
        self: _Priced,
    ) -> Annotated[float | None, Column(unit="FLOP/B", heading="FLOP/B")]:
        """FLOPs per byte of main memory; None where a count is unknown or 0 bytes move."""
        moved = main_memory_bytes(self)
        return self.flops / moved if moved and self.flops is not None else None

    @property
    def roof_time_s(self: _Priced) -> float | None:
        """Time at the roof under perfect overlap: the largest of the three."""
        return overlapped(self.compute_time_s, self.memory_time_s, self.network_time_s)


class OpRecord(_Derived, Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One executed HLO instruction with its cost and its place on the roofline.

    Costs count every execution: an op in a loop of 12 trips carries 12 times its own cost.
    A container (fusion, while, call, conditional) carries the sum of the ops inside it, so
    only ops without `parent` add up to the total.

    Attributes:
        name: Node name in the graph; the HLO instruction's name, prefixed by its caller's
            (``caller/name``) where a computation is called from several places.
        opcode: XLA's opcode.
        layer: Scope of the model (``SmallCNN/conv1``), or None where it could not be placed.
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        parent: Name of the container that it runs in, None at the top.
        shape: Result shape in XLA's notation.
        executions: How often it runs in one call of the program; None if unknown.
        executions_source: ``module`` where the compiled program says so, ``trace`` where a loop
            around it was counted in an op trace, ``given`` where `trips` of `analyze` say it:
            `executions` and all costs are then those of some arguments, not a lower bound.
        macs: Multiply-accumulates of dots and convolutions, padding counted; 0 for others.
        flops: XLA's FLOPs times executions (a fused multiply-add is 2).
        transcendentals: XLA's transcendental operations times executions.
        bytes_read: Bytes read across kernel borders, times executions.
        bytes_written: Bytes written across kernel borders, times executions.
        wire_bytes: Bytes that each device sends to others in a collective, times executions.
        flops_lowest: Of a conditional, or of an op that holds one, its FLOPs if the cheapest
            branch is always taken; `flops` counts the most expensive. None for all others.
        dtype: The dtype that it computes in: of a product that of its operands, or the one in
            which the device takes them (``tf32``, ``bf16``) unless told to be exact; of any other
            op that of its result. None for a container.
        passes: How many products of that dtype one product takes; 1 but for exact products of f32
            on units for narrower dtypes.
        roof: The dtype whose peak bounds it: `dtype` where the device has a peak for it.
        level: The memory level whose bandwidth bounds it.
        compute_time_s: flops * passes / peak.
        memory_time_s: (bytes_read + bytes_written - on_chip_bytes) / bandwidth.
        network_time_s: wire_bytes / bandwidth of the device's links; None where it sends nothing,
            or the device's links are unknown.
        bound: ``compute``, ``memory``, ``network``, or None for an op that costs nothing;
            ``overhead`` of a kernel that is so small that no roof explains its time, and of the ops
            in it, where such kernels take most of the program's time.
        time_s: Best known time of all executions in one call, or None. Of a container, that
            of the ops inside it and its own.
        time_source: ``measured`` (an op trace timed it), ``split by layers`` (it is inside a
            fusion that was timed, whose time the layers share by what they took compiled
            alone, and the ops of a layer by their roofline times), ``split by roofline`` (all
            by their roofline times), ``split by counts`` (by FLOPs and bytes, for want of a
            device), ``estimated`` (its roofline time), or None without a time.
        source: ``file:line`` of the user's code, or None.
        op_name: XLA's op_name metadata.
        on_chip_bytes: Those of the bytes read and written that do not leave the chip, because the
            compiler placed the values there (a TPU's VMEM).
        compiler_time_s: What the compiler of a TPU or GPU itself expects of all executions in one
            call, those of a fusion split over the ops in it; None where it says nothing.
        expected_time_s, expected_low_s, expected_high_s: Time to expect of all executions in one
            call, as kernels of its kind and size ran in the machine's calibration, and its range;
            None on a device without such a table.
        working_set_bytes: Bytes that its kernel touches in one execution, which decide the memory
            `level`; 0 for a loop, call or conditional, None in files saved without it.
        stack_frame: Number of the frame of Python that it stands in, counted from 1 among
            `Analysis.module.stack_frames`; of an op that XLA put in, that of the ops that it
            serves. None where it is not known, and in files saved without it.
    """

    name: str
    opcode: str
    layer: str | None
    phase: str
    parent: str | None
    shape: str
    executions: int | None
    macs: Macs
    flops: Flops
    transcendentals: Count
    bytes_read: Count
    bytes_written: Count
    wire_bytes: Count
    flops_lowest: int | None
    roof: str | None
    level: str | None
    compute_time_s: Seconds
    memory_time_s: Seconds
    bound: str | None
    time_s: Annotated[float | None, Column(heading="time")]
    time_source: str | None
    source: str | None
    op_name: str
    executions_source: str = "module"
    dtype: str | None = None
    passes: int = 1
    on_chip_bytes: Count = 0
    compiler_time_s: Seconds = None
    expected_time_s: Seconds = None
    expected_low_s: Seconds = None
    expected_high_s: Seconds = None
    network_time_s: Seconds = None
    working_set_bytes: Largest = None
    stack_frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord(_Derived):
    """One layer in one phase; inclusive of the layers below it.

    The children of a layer add up to it in every counted column, because what a parent does
    itself stands in a child row of its own, named ``<layer>/(own)``. The rows of depth 0, with
    ``(unattributed)`` among them, add up to the totals.

    Attributes:
        layer: Path of the scope, or ``(unattributed)``.
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        depth: Number of scopes above it.
        leaf: True if no other row lies below it; the leaves too add up to the totals.
        ops: Number of executed instructions, containers not counted.
        params: Elements of the layer's parameters, counted on its forward row only; None where
            it is not known which arguments are parameters.
        param_bytes: Bytes of them.
        macs, flops, transcendentals, bytes_read, bytes_written: As on `OpRecord`.
        compute_time_s, memory_time_s, network_time_s: Sums over its ops.
        bound: ``overhead`` where launching it, or the kernels in it, takes over half of its time
            (of a parent, where leaves so bound do), else the largest of its roofline times:
            ``compute``, ``memory`` or ``network``; None if it costs nothing.
        time_s: Measured time of the layer compiled alone, less the dispatch floor, or the sum
            of that over its leaves; where none was, `traced_time_s`; else the estimate
            max(compute, memory) summed over leaves.
        time_source: ``measured`` or ``estimated``.
        share: time_s over the sum of all leaves' time_s; where nothing was measured, and starting
            small kernels takes most of the time, expected_time_s over the sum of all leaves'.
        efficiency: The largest of the roofline times over time_s, where measured.
        traced_time_s: Time that an op trace saw its ops take inside the running program, fusions
            split over the layers in them; the leaves add up to the traced whole. None without a
            trace, or where it saw none of its ops.
        on_chip_bytes: As on `OpRecord`.
        compiler_time_s: Sum of what the compiler says of its ops; None where it says nothing.
        expected_time_s, expected_low_s, expected_high_s: Sums of what is expected of its ops.
        working_set_bytes: The largest of its ops': a cache of that size holds what each touches.
    """

    layer: str
    phase: str
    depth: int
    leaf: bool
    ops: Annotated[int, _SUM]
    params: Params
    param_bytes: Params
    macs: Macs
    flops: Flops
    transcendentals: Count
    bytes_read: Count
    bytes_written: Count
    compute_time_s: Seconds
    memory_time_s: Seconds
    bound: str | None
    time_s: Annotated[float | None, Column(adds="sum", heading="time")]
    time_source: str | None
    share: Annotated[float | None, SHARE]
    efficiency: Annotated[float | None, Column(heading="of roof", write=percent)]
    traced_time_s: Annotated[float | None, Column(adds="sum", heading="traced")] = None
    on_chip_bytes: Count = 0
    compiler_time_s: Annotated[float | None, Column(adds="sum", heading="compiler")] = None
    expected_time_s: Seconds = None
    expected_low_s: Seconds = None
    expected_high_s: Seconds = None
    network_time_s: Seconds = None
    working_set_bytes: Largest = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord(LayerRecord):
    """One function or line; inclusive of what it calls, and of all phases.

    Its columns are those of a `LayerRecord`, and `layer` the path of calls that leads to it
    (``rollout/integrate/forces``, ``sim.py:24/sim.py:16/sim.py:7``). What a function or line does
    itself, beside what it calls, stands in a row ``<path>/(own)``.

    Attributes:
        phase: ``all``.
        source: ``file:line``, of a function its file; None for ``(unattributed)``.
        text: The line in the file, where that is at hand and no newer than the analysis.
    """

    source: str | None = None
    text: str | None = None


OP_COLUMNS = columns_of(
    OpRecord, "name", "opcode", "layer", "phase", "parent", "executions", "macs", "flops",
    "transcendentals", "bytes_read", "bytes_written", "intensity_flops_per_byte",
    "compute_time_s", "memory_time_s", "bound", "time_s", "time_source", "source", "shape",
    "roof", "level", "op_name", "wire_bytes", "flops_lowest", rest=True,
)  # fmt: skip
"""Of the frame of ops; a field that is not named here stands at the end."""

LAYER_COLUMNS = columns_of(
    LayerRecord, "layer", "phase", "ops", "params", "param_bytes", "macs", "flops",
    "transcendentals", "bytes_read", "bytes_written", "intensity_flops_per_byte",
    "compute_time_s", "memory_time_s", "bound", "time_s", "time_source", "share", "efficiency",
    "depth", "leaf", rest=True,
)  # fmt: skip
"""Of the frame of layers, likewise."""

CODE_COLUMNS = columns_of(CodeRecord, *LAYER_COLUMNS, rest=True)
"""Of the frame of functions or lines, likewise."""
