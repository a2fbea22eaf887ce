"""From traced calls to an OpTrace, with the time of fusions split over their ops.

A fusion is one kernel: the profiler sees it as a whole, and it may span layers. Its time goes to
the layers in it by the time that each took compiled alone, where all of them were timed so, else
by their roofline times, and within a layer always by the latter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from edgegraph.base.timing import bulk
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.op_tree import OpTree
from edgegraph.measure.trace.runs import OpFigures, TracedRun
from edgegraph.measure.trace.timeline import Timeline
from edgegraph.results.analysis import OpRecord
from edgegraph.results.op_trace import (
    LoopTrace,
    OpShare,
    OpTiming,
    OpTrace,
    RunTiming,
    TraceEvent,
    executions_of,
)
from edgegraph.results.timing import LayerLatency, finest_cut

MEASURED, ESTIMATED = "measured", "estimated"
BY_LAYERS, BY_ROOFLINE, BY_COUNTS = "split by layers", "split by roofline", "split by counts"

Layer = tuple[str, str]
"""Path and phase."""


@bulk
def share_out(
    records: Sequence[OpRecord], self_s: Mapping[str, float], latencies: Sequence[LayerLatency] = ()
) -> tuple[OpShare, ...]:
    """Distribute all traced time among ops; `latencies` of layers compiled alone split kernels."""
    tree = OpTree(records)
    separate = _SeparateTimes(tree, latencies)
    around = _around(records, self_s)
    shares: list[OpShare] = []
    for record in records:
        if record.name not in self_s:
            continue
        leaf = tree.is_leaf(record)
        # A call of which nothing inside was seen ran as one kernel.
        one = record.opcode == "call" and record.name not in around
        if not leaf and (one or record.opcode == "fusion"):
            shares += separate.split(self_s[record.name], tree.leaves_in(record))
        else:
            shares.append(_share(record, self_s[record.name], MEASURED, holds_ops=not leaf))
    return tuple(shares)


def _around(records: Sequence[OpRecord], self_s: Mapping[str, float]) -> Set[str]:
    """Name the ops that hold others that were seen, at any depth."""
    found: set[str] = set()
    for record in reversed(records):  # contents before what holds them
        if record.parent is not None and (record.name in self_s or record.name in found):
            found.add(record.parent)
    return found


class _SeparateTimes:
    """What is known of layers and ops outside of this trace: their isolated and roofline times."""

    def __init__(self, tree: OpTree[OpRecord], latencies: Sequence[LayerLatency]) -> None:
        self._by_roof = any(record.compute_time_s is not None for record in tree.ops)
        self._piece: dict[Layer, Layer] = {}
        self._time_s: dict[Layer, float] = {}
        for measured in finest_cut(latencies):
            if measured.time_s is not None:
                piece = (measured.layer, measured.phase)
                self._time_s[piece] = self._time_s.get(piece, 0.0) + measured.time_s
                for layer in (measured.layer, *measured.covers):
                    self._piece.setdefault((layer, measured.phase), piece)
        self._whole: dict[Layer, float] = {}
        for record in tree.leaves:
            piece = self._piece_of(record)
            self._whole[piece] = self._whole.get(piece, 0.0) + self._weight(record)

    def _piece_of(self, record: OpRecord) -> Layer:
        layer = (record.layer or UNATTRIBUTED, record.phase)
        return self._piece.get(layer, layer)

    def _weight(self, record: OpRecord) -> float:
        """Return its roofline time; without a device, what it computes and moves."""
        if self._by_roof:
            return max(record.compute_time_s or 0.0, record.memory_time_s or 0.0)
        counts = (record.flops, record.transcendentals, record.bytes_read, record.bytes_written)
        return float(sum(count or 0 for count in counts))

    def split(self, time_s: float, leaves: Sequence[OpRecord]) -> list[OpShare]:
        """Split a fusion's time over the ops inside it."""
        work = [leaf for leaf in leaves if leaf.opcode not in opcodes.FREE] or list(leaves)
        if len(work) == 1:
            return [_share(work[0], time_s, MEASURED)]
        weights = [self._weight(leaf) for leaf in work]
        if not sum(weights):
            weights = [1.0] * len(work)
        source = BY_ROOFLINE if self._by_roof else BY_COUNTS
        groups: dict[Layer, float] = {}
        for leaf, weight in zip(work, weights, strict=True):
            piece = self._piece_of(leaf)
            groups[piece] = groups.get(piece, 0.0) + weight
        isolated = {
            piece: self._time_s[piece] * weight / self._whole[piece] if weight else 0.0
            for piece, weight in groups.items()
            if piece in self._time_s and (self._whole[piece] or not weight)
        }
        if len(groups) > 1 and len(isolated) == len(groups) and any(isolated.values()):
            source = BY_LAYERS
            weights = [
                isolated[piece] * weight / groups[piece] if groups[piece] else 0.0
                for piece, weight in (
                    (self._piece_of(leaf), weight)
                    for leaf, weight in zip(work, weights, strict=True)
                )
            ]
        whole = sum(weights)
        parts = [time_s * weight / whole for weight in weights]
        # What rounding left over goes to the largest, so that the parts are the fusion's time.
        largest = max(range(len(parts)), key=parts.__getitem__)
        parts[largest] += time_s - sum(parts)
        return [_share(leaf, part, source) for leaf, part in zip(work, parts, strict=True)]


def _share(record: OpRecord, time_s: float, source: str, holds_ops: bool = False) -> OpShare:
    flops, moved = own_counts(record, holds_ops=holds_ops)
    return OpShare(
        name=record.name,
        opcode=record.opcode,
        layer=record.layer,
        phase=record.phase,
        source=record.source,
        time_s=time_s,
        time_source=source,
        executions=record.executions,
        flops=flops,
        bytes=moved,
    )


def own_counts(record: OpRecord, *, holds_ops: bool) -> tuple[int | None, int | None]:
    """Return an op's FLOPs and bytes moved, a fusion's whole, but nothing of what a loop runs."""
    if holds_ops and record.opcode != "fusion":
        return 0, 0
    if record.bytes_read is None or record.bytes_written is None:
        return record.flops, None
    return record.flops, record.bytes_read + record.bytes_written


PS_PER_S = 1e12
MOST_EVENTS = 20_000
"""A timeline with more is not looked at; it would only make the file large."""

_NOTHING = OpFigures(executions=0, self_ps=0, thread_ps=0, total_ps=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A trace joined to a program's graph, before its ops are priced.

    The runs are without the `warm_up` calls, at least one; `untraced_s` is the median of calls
    without the profiler and `untraced_min_s` the quickest, `kept_at` the folder that the trace was
    kept in.
    """

    module: str
    nodes: Sequence[Node]
    runs: Sequence[TracedRun]
    timeline: Timeline
    loops: tuple[LoopTrace, ...]
    warm_up: int
    untraced_s: float | None = None
    untraced_min_s: float | None = None
    kept_at: str | None = None

    @property
    def executions(self) -> Mapping[tuple[str, str], int]:
        """How often loops ran, as `price_nodes` takes it."""
        return executions_of(self.loops)

    @property
    def counts_unknown_loops(self) -> bool:
        """Whether it says how often a loop ran of which the module does not."""
        return any(loop.trips is None and loop.iterations is not None for loop in self.loops)

    @bulk
    def summary(
        self, records: Sequence[OpRecord], latencies: Sequence[LayerLatency] = ()
    ) -> OpTrace:
        """Return the result, with the ops' costs and places; `latencies` as for `share_out`."""
        runs, calls_ps = self.runs, self.timeline.calls_ps
        by_span = sorted(runs, key=lambda run: run.span_ps)
        aside = len(runs) // 4
        counted = by_span[aside : len(runs) - aside]
        timings = _timings(runs, counted, self.nodes, records)
        among = {id(run) for run in counted}
        every = [_run_timing(run, calls_ps, counted=id(run) in among) for run in runs]
        spent = _spent(timings, counted, records)
        event_s = self._event_s(spent, every)
        timings = [
            replace(timing, self_s=each.left_s(event_s or 0.0))
            for timing, each in zip(timings, spent, strict=True)
        ]
        shown = by_span[len(runs) // 2]
        lines, events = _events(shown, self.timeline.threads)
        return OpTrace(
            module=self.module,
            timings=tuple(sorted(timings, key=lambda timing: -timing.self_s)),
            shares=share_out(records, {each.name: each.self_s for each in timings}, latencies),
            loops=self.loops,
            runs=tuple(every),
            warm_up=self.warm_up,
            untraced_s=self.untraced_s,
            unmatched={
                name: _mean([run.unmatched_ps.get(name, 0) for run in counted])
                for name in sorted({name for run in counted for name in run.unmatched_ps})
            },
            threads=lines,
            events=events,
            events_left_out=len(shown.spans) - len(events),
            kept_at=self.kept_at,
            event_s=event_s,
        )

    def _event_s(self, spent: Sequence[Spent], runs: Sequence[RunTiming]) -> float | None:
        """Return what tracing an execution of an op took; None without calls to hold against.

        The quickest calls tell: other processes take longer from a call than tracing does.
        """
        calls = [run.call_s for run in runs if run.call_s is not None]
        if not calls or not self.untraced_min_s:
            return None
        return event_cost(spent, self.untraced_min_s / min(calls))


_LEAST = 0.05
"""Share of its traced time that an op keeps at least, and a kernel the time of its roof."""

_MOST_EVENT_S = 3e-6
"""More than tracing an execution takes; 0.8 to 1.2 us were seen. What is beyond is noise."""

_HALVINGS = 60
"""Of the interval in which the cost of an event lies, to the last bit of a float."""


class Spent(Struct, frozen=True, gc=False):
    """What a trace shows of an op: its time in seconds, its events, and the least it keeps."""

    time_s: float
    events: float
    least_s: float

    def left_s(self, event_s: float) -> float:
        """Return its time without the cost of its events."""
        return max(self.least_s, self.time_s - self.events * event_s)


def event_cost(spent: Sequence[Spent], kept: float) -> float:
    """Return the cost of an event, at most 3 us, that leaves a share `kept` of all the time."""
    whole_s = sum(each.time_s for each in spent)
    if kept >= 1 or not whole_s:
        return 0.0
    low_s, high_s = 0.0, _MOST_EVENT_S
    for _ in range(_HALVINGS):
        middle_s = (low_s + high_s) / 2
        left_s = sum(each.left_s(middle_s) for each in spent)
        low_s, high_s = (middle_s, high_s) if left_s > kept * whole_s else (low_s, middle_s)
    return low_s


def _spent(
    timings: Sequence[OpTiming], counted: Sequence[TracedRun], records: Sequence[OpRecord]
) -> list[Spent]:
    """Return what is shown of every op; a kernel keeps the time of its roof."""
    tree = OpTree(records)
    roofs_s = {
        kernel.name: max(kernel.head.compute_time_s or 0.0, kernel.head.memory_time_s or 0.0)
        for kernel in tree.kernels
    }
    return [
        Spent(
            each.self_s,
            sum(run.ops.get(each.name, _NOTHING).executions for run in counted) / len(counted),
            min(each.self_s, max(_LEAST * each.self_s, roofs_s.get(each.name, 0.0))),
        )
        for each in timings
    ]


def _timings(
    runs: Sequence[TracedRun],
    counted: Sequence[TracedRun],
    nodes: Sequence[Node],
    records: Sequence[OpRecord],
) -> list[OpTiming]:
    shapes = {node.name: str(node.instruction.shape) for node in nodes}
    tree = OpTree(nodes)
    timings: list[OpTiming] = []
    for node, record in zip(nodes, records, strict=True):
        every = [run.ops[node.name] for run in runs if node.name in run.ops]
        if not every:
            continue
        every += [_NOTHING] * (len(runs) - len(every))
        middle = [run.ops.get(node.name, _NOTHING) for run in counted]
        self_s = [figures.self_ps / PS_PER_S for figures in every]
        executions = {figures.executions for figures in every}
        flops, moved = own_counts(record, holds_ops=not tree.is_leaf(node))
        timings.append(
            OpTiming(
                name=node.name,
                opcode=record.opcode,
                shapes=f"({', '.join(shapes[o] for o in node.operands)}) -> {shapes[node.name]}",
                layer=record.layer,
                phase=record.phase,
                source=record.source,
                executions=executions.pop() if len(executions) == 1 else None,
                self_s=_mean([figures.self_ps for figures in middle]),
                total_s=_mean([figures.total_ps for figures in middle]),
                thread_s=_mean([figures.thread_ps for figures in middle]),
                self_median_s=median(self_s),
                self_min_s=min(self_s),
                self_max_s=max(self_s),
                flops=flops,
                bytes=moved,
                raw_self_s=_mean([figures.self_ps for figures in middle]),
            )
        )
    return timings


def _run_timing(run: TracedRun, calls_ps: Sequence[tuple[int, int]], *, counted: bool) -> RunTiming:
    call = next(
        ((end - start) / PS_PER_S for start, end in calls_ps if start <= run.start_ps < end), None
    )
    return RunTiming(
        span_s=run.span_ps / PS_PER_S,
        busy_s=run.busy_ps / PS_PER_S,
        ops_s=sum(figures.self_ps for figures in run.ops.values()) / PS_PER_S,
        thread_s=sum(figures.thread_ps for figures in run.ops.values()) / PS_PER_S,
        threads=run.threads,
        call_s=call,
        counted=counted,
    )


def _events(run: TracedRun, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[TraceEvent, ...]]:
    """Return the timeline of a call, with only the threads that took part."""
    spans = run.spans[:MOST_EVENTS]
    used: Mapping[int, int] = {
        thread: index for index, thread in enumerate(sorted({span.thread for _, span in spans}))
    }
    return tuple(names[thread] for thread in used), tuple(
        TraceEvent(
            name=name,
            thread=used[span.thread],
            start_s=(span.start_ps - run.start_ps) / PS_PER_S,
            duration_s=(span.end_ps - span.start_ps) / PS_PER_S,
        )
        for name, span in spans
    )


def _mean(values_ps: Sequence[int]) -> float:
    return sum(values_ps) / len(values_ps) / PS_PER_S
