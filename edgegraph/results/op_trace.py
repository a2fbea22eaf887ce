"""What every op took inside the running program, from the profiler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgegraph.base.files import replacing
from edgegraph.base.shown import shown
from edgegraph.errors import InputError
from edgegraph.results.base import Saved
from edgegraph.results.columns import SHARE, columns_of, frame, notebook_table, rows

if TYPE_CHECKING:
    import pandas as pd

US_PER_S = 1e6


class OpTiming(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One op that the profiler saw run.

    Times are seconds in one call of the program, all executions together. `raw_self_s`, `total_s`
    and `thread_s` are means over the same calls, the middle half by length, so that they add up
    over ops; the median and the extremes are over all calls but the warm-up.

    Attributes:
        name: Node name in the graph.
        opcode: XLA's opcode.
        shapes: Operands and result: ``(f32[32,784], f32[784,10]) -> f32[32,10]``.
        layer, phase, source: As on `OpRecord`.
        executions: How often it ran in a call, as far as events tell; None where calls differ.
        self_s: Time in which at least one thread worked for it, and not for an op inside it, less
            what tracing it took.
        total_s: Time from its start until its results were there, ops inside it included.
        thread_s: `raw_self_s` added up over the threads that worked for it.
        self_median_s, self_min_s, self_max_s: Of `raw_self_s`, over the calls.
        flops: FLOPs of all executions, those inside a fusion included; a loop, call or
            conditional does nothing itself.
        bytes: Bytes read and written likewise.
        raw_self_s: As the trace shows `self_s`; None in a file of an earlier version, where that
            is what `self_s` is.
    """

    name: str
    opcode: str
    shapes: str
    layer: str | None
    phase: str
    source: str | None
    executions: int | None
    self_s: float
    total_s: float
    thread_s: float
    self_median_s: float
    self_min_s: float
    self_max_s: float
    flops: int | None
    bytes: int | None
    raw_self_s: float | None = None


class OpShare(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """What of the traced time goes to one op; fusions are split over the ops inside them.

    Attributes:
        name, opcode, layer, phase, source: As on `OpRecord`.
        time_s: Seconds in one call; all shares add up to the self times of all ops.
        time_source: ``measured``, ``split by layers``, ``split by roofline`` or
            ``split by counts``, as on `OpRecord`.
        executions: As on `OpRecord`.
        flops: FLOPs of its own, as on `OpTiming`.
        bytes: Bytes read and written likewise.
    """

    name: str
    opcode: str
    layer: str | None
    phase: str
    source: str | None
    time_s: float
    time_source: str
    executions: int | None
    flops: int | None
    bytes: int | None


class TraceEvent(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One stretch on the timeline of a call.

    Attributes:
        name: The op's node name.
        thread: Index into `OpTrace.threads`.
        start_s: From the first op's start.
        duration_s: Length.
    """

    name: str
    thread: int
    start_s: float
    duration_s: float


class RunTiming(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One traced call.

    Attributes:
        span_s: From the first op's start to the last one's end.
        busy_s: Time in which at least one thread worked for an op.
        ops_s: Self times of all ops added up; over `busy_s` where ops ran side by side.
        thread_s: Time of all threads that they worked for ops.
        threads: How many threads those were.
        call_s: Length of the call as Python saw it; None in a trace from elsewhere.
        counted: Whether it is in the middle half by span, whose means stand on the ops.
    """

    span_s: float
    busy_s: float
    ops_s: float
    thread_s: float
    threads: int
    call_s: float | None
    counted: bool


class LoopTrace(Struct, frozen=True, kw_only=True, array_like=True):
    """How often a loop ran.

    Attributes:
        name: Node name of the while.
        body, condition: Names of its computations.
        entered: How often it was begun in a call; None where the trace does not say.
        iterations: How often its body ran in a call, over all beginnings; None where the trace
            does not say or calls differ.
        checked: How often its condition ran likewise.
        trips: Iterations from one beginning to its end as the module says; None if it does not.
        expected: How often the body should run in a call by the module; None if unknown.
    """

    name: str
    body: str
    condition: str
    entered: int | None
    iterations: int | None
    checked: int | None
    trips: int | None
    expected: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether the trace counts what the module says; None where one of them is silent."""
        if self.iterations is None or self.expected is None:
            return None
        return self.iterations == self.expected


def executions_of(loops: Sequence[LoopTrace]) -> Mapping[tuple[str, str], int]:
    """Return how often loops' computations ran in a call, by loop and computation."""
    found: dict[tuple[str, str], int] = {}
    for loop in loops:
        if loop.iterations is not None:
            found[loop.name, loop.body] = loop.iterations
        if loop.checked is not None and loop.condition != loop.body:
            found[loop.name, loop.condition] = loop.checked
    return found


@dataclass(frozen=True, kw_only=True)
class OpTrace(Saved):
    """Measured time of every op inside the running program.

    Attributes:
        module: Name of the HLO module.
        timings: Every op that ran, the longest self time first.
        shares: Where the time goes, fusions split over the ops inside them.
        loops: How often loops ran.
        runs: The traced calls, the warm-up left out.
        warm_up: Calls that were traced and dropped.
        untraced_s: Median of calls made around the trace without the profiler; None in a trace
            from elsewhere.
        unmatched: Seconds in one call of ops that the graph does not have, by name.
        threads: Names of the threads or device lines in `events`.
        events: One call, that of median span, as a timeline.
        events_left_out: How many further events that call has.
        kept_at: The log folder that XProf and TensorBoard open, where one was asked for.
        event_s: What tracing one execution of an op took, which is taken off the ops' times, so
            that they add up to no more of the untraced call than they have of the traced one; None
            where that is unknown.
    """

    module: str
    timings: tuple[OpTiming, ...]
    shares: tuple[OpShare, ...]
    loops: tuple[LoopTrace, ...]
    runs: tuple[RunTiming, ...]
    warm_up: int
    untraced_s: float | None
    unmatched: Mapping[str, float]
    threads: tuple[str, ...]
    events: tuple[TraceEvent, ...]
    events_left_out: int
    kept_at: str | None = None
    event_s: float | None = None

    @property
    def calls(self) -> int:
        """How many calls were traced, the warm-up left out."""
        return len(self.runs)

    @property
    def time_s(self) -> float:
        """Self times of all ops in one call: the traced whole that the layers add up to."""
        return sum(timing.self_s for timing in self.timings)

    @property
    def executions(self) -> Mapping[tuple[str, str], int]:
        """How often loops' computations ran in a call, by loop and computation."""
        return executions_of(self.loops)

    @property
    def span_s(self) -> float:
        """Mean time from the first op's start to the last one's end."""
        return fmean(run.span_s for run in self.runs if run.counted)

    @property
    def coverage(self) -> float:
        """Share of that time in which at least one thread worked for an op: median over calls.

        What is left is the executor's own time, waiting for threads to wake up, and whatever
        the system gave the cores to in between.
        """
        return median(run.busy_s / run.span_s if run.span_s else 1.0 for run in self.runs)

    @property
    def traced_ratio(self) -> float | None:
        """Median traced call over median untraced call: what tracing costs; None if unknown."""
        calls = [run.call_s for run in self.runs if run.call_s is not None]
        return median(calls) / self.untraced_s if calls and self.untraced_s else None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per op that ran, the longest first; `share` is of the traced whole."""
        columns = columns_of(OpTiming) | {"share": SHARE}
        shares = [each.self_s / self.time_s if self.time_s else 0.0 for each in self.timings]
        return frame(self.timings, columns, share=shares)

    def grouped(self, by: str = "opcode") -> pd.DataFrame:
        """Add up the ops of a kind, the longest first.

        Args:
            by: ``opcode``, ``shape`` (opcode and shapes), ``layer`` (and phase) or ``source``
                (line of the user's code). By layer and by source, a fusion counts where the ops
                inside it stand.

        Returns:
            One row per group: its key, ``ops executions self_s self_per_execution_s total_s
            share flops bytes``; without ``total_s`` by layer and by source, since nothing is
            inside of a layer's ops.

        Raises:
            InputError: There is no such grouping.
        """
        import pandas as pd

        if by not in _GROUPINGS:
            raise InputError(f"cannot group by {by!r}; choose one of: {', '.join(_GROUPINGS)}")
        key, whole = _GROUPINGS[by], self.time_s
        members: Sequence[OpTiming | OpShare]
        members = self.timings if by in ("opcode", "shape") else self.shares
        groups: dict[tuple[str | None, ...], list[Any]] = {}
        for member in members:
            groups.setdefault(tuple(getattr(member, name) for name in key), []).append(member)
        rows = []
        for values, held in groups.items():
            time = sum(m.self_s if isinstance(m, OpTiming) else m.time_s for m in held)
            executions = _sum(m.executions for m in held)
            row: dict[str, Any] = dict(zip(key, values, strict=True))
            row |= {"ops": len(held), "executions": executions, "self_s": time}
            row["self_per_execution_s"] = time / executions if executions else None
            if by in ("opcode", "shape"):
                row["total_s"] = sum(m.total_s for m in held)
            row["share"] = time / whole if whole else 0.0
            row |= {"flops": _sum(m.flops for m in held), "bytes": _sum(m.bytes for m in held)}
            rows.append(row)
        rows.sort(key=lambda row: -row["self_s"])
        nested = {"total_s": "float64"} if by in ("opcode", "shape") else {}
        types = {
            **dict.fromkeys(key, "string"), "ops": "int64", "executions": "Int64",
            "self_s": "float64", "self_per_execution_s": "float64", **nested, "share": "float64",
            "flops": "Int64", "bytes": "Int64",
        }  # fmt: skip
        return pd.DataFrame(rows, columns=list(types)).astype(types)

    def chrome_trace(self) -> dict[str, Any]:
        """Return the timeline of one call in the Trace Event Format, as Perfetto reads it."""
        shown = ("opcode", "layer", "phase", "shapes", "source", "flops", "bytes")
        names = [timing.name for timing in self.timings]
        known = dict(zip(names, rows(self.timings, shown), strict=True))
        events = [
            trace_event(
                event.name, event.thread, event.start_s, event.duration_s, known[event.name]
            )
            for event in self.events
        ]
        return {"displayTimeUnit": "ns", "traceEvents": [*thread_names(self.threads), *events]}

    def save_chrome_trace(self, path: str | Path) -> Path:
        """Write `chrome_trace` to `path` (usually ``*.trace.json``), atomically.

        Returns:
            The path written.

        Raises:
            InputError: The folder does not exist or cannot be written.
        """
        path = Path(path)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.chrome_trace()), "utf-8")
        return path

    def __repr__(self) -> str:
        """Name the module and its size; the ops themselves are for the frames."""
        return (
            f"<OpTrace {shown(self.module)}: {len(self.timings)} ops, {len(self.runs)} calls,"
            f" {100 * self.coverage:.0f} % of {self.span_s * US_PER_S:.0f} us covered>"
        )

    def _repr_html_(self) -> str:
        """Show the time by opcode in a notebook."""
        return notebook_table(self.grouped("opcode"))


def thread_names(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return trace events that name the threads from 0 on."""
    return [
        {"ph": "M", "pid": 0, "tid": number, "name": "thread_name", "args": {"name": name}}
        for number, name in enumerate(names)
    ]


def trace_event(
    name: str, thread: int, start_s: float, duration_s: float, args: Mapping[str, Any], **more: str
) -> dict[str, Any]:
    """Return one stretch of time in the Trace Event Format; unknown `args` are left out."""
    return {
        "ph": "X",
        "pid": 0,
        "tid": thread,
        "name": name,
        **more,
        "ts": start_s * US_PER_S,
        "dur": duration_s * US_PER_S,
        "args": {key: value for key, value in args.items() if value is not None},
    }


_GROUPINGS = {
    "opcode": ("opcode",),
    "shape": ("opcode", "shapes"),
    "layer": ("layer", "phase"),
    "source": ("source",),
}


def _sum(values: Any) -> int | None:
    """Add counts; unknown if one of them is."""
    held = list(values)
    return None if any(value is None for value in held) else sum(held)
