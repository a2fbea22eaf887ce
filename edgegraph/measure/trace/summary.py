"""From traced calls to an OpTrace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from edgegraph.bulk import bulk
from edgegraph.graph import Node
from edgegraph.hlo.op_tree import OpTree
from edgegraph.measure.trace.runs import OpFigures, TracedRun
from edgegraph.measure.trace.split import own_counts, share_out
from edgegraph.results.analysis import OpRecord
from edgegraph.results.latency import LayerLatency
from edgegraph.results.op_trace import LoopTrace, OpTiming, OpTrace, RunTiming, TraceEvent

PS_PER_S = 1e12
MOST_EVENTS = 20_000
"""A timeline with more is not looked at; it would only make the file large."""

_NOTHING = OpFigures(executions=0, self_ps=0, thread_ps=0, total_ps=0)


@bulk
def summarise(
    runs: Sequence[TracedRun],
    *,
    module: str,
    nodes: Sequence[Node],
    records: Sequence[OpRecord],
    loops: tuple[LoopTrace, ...],
    threads: Sequence[str],
    calls_ps: Sequence[tuple[int, int]],
    latencies: Sequence[LayerLatency] = (),
    warm_up: int = 0,
    untraced_s: float | None = None,
    kept_at: str | None = None,
) -> OpTrace:
    """Put the figures of all calls together.

    Args:
        runs: At least one, without the warm-up.
        module: Name of the HLO module.
        nodes: Its ops.
        records: Their costs and places.
        loops: How often its loops ran.
        threads: Names of the trace's lines.
        calls_ps: Start and end of the calls that were made for the trace.
        latencies: Measured times of layers compiled alone, to split fusions by.
        warm_up: Calls that were dropped.
        untraced_s: Median of calls without the profiler.
        kept_at: Folder that the trace was kept in.
    """
    by_span = sorted(runs, key=lambda run: run.span_ps)
    aside = len(runs) // 4
    counted = by_span[aside : len(runs) - aside]
    timings = _timings(runs, counted, nodes, records)
    shares = share_out(records, {timing.name: timing.self_s for timing in timings}, latencies)
    shown = by_span[len(runs) // 2]
    lines, events = _events(shown, threads)
    unmatched = {name for run in counted for name in run.unmatched_ps}
    among = {id(run) for run in counted}
    return OpTrace(
        module=module,
        timings=tuple(sorted(timings, key=lambda timing: -timing.self_s)),
        shares=shares,
        loops=loops,
        runs=tuple(_run_timing(run, calls_ps, counted=id(run) in among) for run in runs),
        warm_up=warm_up,
        untraced_s=untraced_s,
        unmatched={
            name: _mean([run.unmatched_ps.get(name, 0) for run in counted])
            for name in sorted(unmatched)
        },
        threads=lines,
        events=events,
        events_left_out=len(shown.spans) - len(events),
        kept_at=kept_at,
    )


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
