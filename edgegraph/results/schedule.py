"""A program over time: what runs when, which transfers the compute hides, what memory it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from edgegraph.results.columns import columns_of, frame
from edgegraph.results.form import in_document

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = "hidden"
PARTLY_HIDDEN = "partly hidden"
EXPOSED = "exposed"

COMPUTE = "compute"
COPY = "copy"
NETWORK = "network"
ASYNCHRONOUS = "asynchronous"


class ScheduledOp(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One op of the entry computation on its lane.

    Attributes:
        name: Node name.
        lane: ``compute``, ``copy`` (within the device), ``network``, or ``asynchronous``
            (computations that run concurrently with the main ones).
        begin_s: From the start of the program.
        duration_s: A loop stands as one op, with all its iterations.
    """

    name: str
    lane: str
    begin_s: float
    duration_s: float


class Transfer(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """An asynchronous operation, from the op that starts it to the one that waits for it.

    Attributes:
        start: Node name of the op that starts it.
        done: Node name of the op that waits for it; None where nothing does.
        opcode: What is done: ``copy``, ``slice``, ``all-reduce``, ...
        lane: ``copy``, ``network`` or ``asynchronous``.
        layer: Scope of the model that the start belongs to, or None.
        executions: How often it runs in one call of the program; None if unknown.
        bytes: What one execution moves: on the wire of one device for a collective, else read
            and written; None if unknown.
        duration_s: What one execution takes alone; None if unknown.
        compute_s: Time of the ops that stand between start and done; None if unknown.
        between: Number of those ops, those that cost nothing left out.
        exposed_s: How long one execution keeps the compute waiting, also behind others of its
            lane; None if unknown.
        verdict: ``hidden`` (less than 1 % of it is waited for), ``exposed`` (more than 99 %),
            ``partly hidden``, or None where its times are unknown.
    """

    start: str
    done: str | None
    opcode: str
    lane: str
    layer: str | None
    executions: int | None
    bytes: int | None
    duration_s: float | None
    compute_s: float | None
    between: int
    exposed_s: float | None
    verdict: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the program plays out if every op takes the time that is known of it.

    The compute runs in the order of the schedule; every lane of transfers serves one after the
    other, each from its start on; the op that waits for one holds the compute until it is there.

    Attributes:
        ops: Of the entry computation, with their times; without those that cost nothing.
        transfers: All asynchronous operations, those inside loops too.
        makespan_s: When the last op ends.
        compute_s: Sum of the times of the ops on the compute lane.
        critical_path_s: The longest chain of ops that need each other's results: no number of
            parallel units makes the program faster than that.
        critical_path: Names of the ops of that chain that take time, first to last.
        untimed: Number of working ops whose time is unknown; they count as 0.
        time_source: Where the ops' times come from: ``measured``, ``estimated``, ``compiler``,
            or several of them joined by " and ".
    """

    ops: tuple[ScheduledOp, ...] = field(repr=False)
    transfers: tuple[Transfer, ...] = field(repr=False)
    makespan_s: float
    compute_s: float
    critical_path_s: float
    untimed: int
    time_source: str | None
    critical_path: tuple[str, ...] = field(default=(), repr=False)

    @property
    def exposed_s(self) -> float:
        """Time in which the compute waits for transfers, over all executions."""
        return sum((t.exposed_s or 0.0) * (t.executions or 1) for t in self.transfers)

    @property
    def transfer_s(self) -> float:
        """Time of all transfers, over all executions, as if each ran alone."""
        return sum((t.duration_s or 0.0) * (t.executions or 1) for t in self.transfers)

    @property
    def parallelism(self) -> float | None:
        """The sum of the ops' times over the critical path; None for a program without times."""
        return self.compute_s / self.critical_path_s if self.critical_path_s else None

    @property
    def frame(self) -> pd.DataFrame:
        """One row per transfer, with the columns of `Transfer`."""
        return frame(self.transfers, columns_of(Transfer))


in_document(
    Schedule,
    columns_of(
        Schedule, "makespan_s", "compute_s", "exposed_s", "critical_path_s", "time_source",
        "transfers",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPeak:
    """The layer that needs the most memory for activations, by one of the rules.

    Attributes:
        bytes: What it needs.
        op: Name of its op in the module before optimisation.
        opcode: XLA's opcode of that op.
        layer: Scope of the model, or None.
    """

    bytes: int
    op: str
    opcode: str
    layer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationMemory:
    """Peak activation memory of the program as it was written, before XLA fuses anything.

    Parameters and state of the model are not counted; what is elementwise happens in place; a
    loop or a conditional is one op. `edgegraph.memory.activations` has the rules in full.

    Attributes:
        in_out: A layer needs its inputs and its output, and nothing else is held (the rule of
            EfficientML, lecture 2).
        inplace_depthwise: The same, but a depthwise convolution writes over its input (MCUNetV2).
        liveness: All that a later op still reads is held too, such as residuals, and what a
            backward pass will need.
    """

    in_out: ActivationPeak
    inplace_depthwise: ActivationPeak
    liveness: ActivationPeak


HELD = ("argument", "weights", "constant")
"""Kinds of buffers that are there for the whole run, whatever the program does."""


class LiveBuffer(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """A buffer that is alive at the peak.

    Attributes:
        name: Node name of the op that made what it holds.
        layer: Scope of the model that this op belongs to, or None.
        bytes: Size of the buffer.
        kind: ``argument`` (an input or state), ``weights`` (a parameter of the model),
            ``constant``, ``output``, ``activation`` (made from the inputs on the way forward)
            or ``temporary`` (all else, such as gradients).
    """

    name: str
    layer: str | None
    bytes: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMemory:
    """What a program holds in the device's memory, by its schedule.

    Arguments and constants are alive for the whole run, outputs from the op that makes them to
    the end, all else from the op that makes it to the one that reads it last. What is updated in
    place or shared, such as the state of a loop, counts once.

    Attributes:
        ops: Names of the entry computation's ops, in the order of execution.
        alive_bytes: Bytes alive while each of them runs; for a loop or call, at the worst moment
            inside.
        peak_position: Position in `ops` of the peak, the first of equals.
        peak_op: The op that runs at the peak: that one, or one inside it.
        peak_buffers: The buffers alive at the peak, the largest first. Their bytes add up to it.
        temp_bytes: What XLA sets aside for temporaries: with the gaps that its layout leaves.
        output_bytes: What XLA sets aside for results, those in donated arguments apart.
        peak_layer: Scope of the model that `peak_op` belongs to, or None.
    """

    ops: tuple[str, ...] = field(repr=False)
    alive_bytes: tuple[int, ...] = field(repr=False)
    peak_position: int
    peak_op: str
    peak_buffers: tuple[LiveBuffer, ...] = field(repr=False)
    temp_bytes: int
    output_bytes: int
    peak_layer: str | None = None

    def __post_init__(self) -> None:
        if len(self.ops) != len(self.alive_bytes) or not 0 <= self.peak_position < len(self.ops):
            raise ValueError(
                f"live memory of {len(self.ops)} ops: {len(self.alive_bytes)} figures, and a peak"
                f" at position {self.peak_position}"
            )

    @property
    def peak_bytes(self) -> int:
        """The most that is alive at once, arguments and constants included."""
        return self.alive_bytes[self.peak_position]

    @property
    def peak_by_kind(self) -> Mapping[str, int]:
        """Bytes alive at the peak by kind of buffer, the largest first."""
        sums: dict[str, int] = {}
        for buffer in self.peak_buffers:
            sums[buffer.kind] = sums.get(buffer.kind, 0) + buffer.bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    @property
    def held_bytes(self) -> int:
        """Bytes of arguments, weights and constants: alive from the beginning to the end."""
        return sum(buffer.bytes for buffer in self.peak_buffers if buffer.kind in HELD)

    @property
    def working_bytes(self) -> int:
        """The peak without arguments, weights and constants: what running the program needs."""
        return self.peak_bytes - self.held_bytes

    @property
    def allocated_bytes(self) -> int:
        """Temporaries and outputs as XLA sets them aside, once for the whole run.

        It is XLA's own ``temp + output``. It exceeds `working_bytes` where the layout leaves
        gaps, and where outputs wait for their contents while something else makes the peak.
        """
        return self.temp_bytes + self.output_bytes

    @property
    def frame(self) -> pd.DataFrame:
        """One row per op of the entry computation: ``position``, ``op``, ``alive_bytes``."""
        import pandas as pd

        positions = range(len(self.ops))
        return pd.DataFrame(
            {"position": positions, "op": self.ops, "alive_bytes": self.alive_bytes}
        )
