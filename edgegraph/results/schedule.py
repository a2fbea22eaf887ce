"""A schedule as it plays out: what runs when, and which transfers the compute hides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct

from edgegraph.results.columns import columns_of, frame

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

    ops: tuple[ScheduledOp, ...]
    transfers: tuple[Transfer, ...]
    makespan_s: float
    compute_s: float
    critical_path_s: float
    untimed: int
    time_source: str | None
    critical_path: tuple[str, ...] = ()

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
