"""From a timeline to figures: what every op took in every call, and how often loops ran."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from edgegraph.base.timing import bulk
from edgegraph.cost.price import count_executions
from edgegraph.cost.trip_counts import trip_counts
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Module
from edgegraph.measure.trace.timeline import Run, Span, Timeline
from edgegraph.results.op_trace import LoopTrace


def count_loops(
    module: Module, nodes: Sequence[Node], runs: Sequence[TracedRun]
) -> tuple[LoopTrace, ...]:
    """Count the iterations of every loop that ran; what differs between runs is unknown.

    The ops of a body all run as often as the body. Where none of them shows in the trace, the
    condition tells, which runs once more each time the loop is begun.
    """
    trips = trip_counts(module)
    expected = count_executions(nodes, trips)
    contents: dict[tuple[str | None, str], list[str]] = {}
    for node in nodes:
        contents.setdefault((node.parent, node.computation), []).append(node.name)
    loops: list[LoopTrace] = []
    for node in nodes:
        if node.opcode != "while":
            continue
        body, condition = node.instruction.called
        entered = _count(runs, [node.name])
        inside, around = contents.get((node.name, body), []), contents.get((node.name, condition))
        iterations, checked = _count(runs, inside), _count(runs, around or [])
        if iterations is None and checked is not None and entered is not None:
            iterations = checked - entered
        if checked is None and iterations is not None and entered is not None:
            checked = iterations + entered
        if iterations is None:
            continue
        loops.append(
            LoopTrace(
                name=node.name,
                body=body,
                condition=condition,
                entered=entered,
                iterations=iterations,
                checked=checked,
                trips=trips.get(node.instruction.name),
                expected=expected[inside[0]].count if inside else None,
            )
        )
    return tuple(loops)


def _count(runs: Sequence[TracedRun], ops: Sequence[str]) -> int | None:
    """Return how often ops of one computation ran in a call; None if they or the calls disagree."""
    seen = {run.ops[name].executions for run in runs for name in ops if name in run.ops}
    silent = any(not any(name in run.ops for name in ops) for run in runs)
    return seen.pop() if len(seen) == 1 and not silent else None


Slice = tuple[int, int, int]
"""Thread, start and end of time worked for an op."""

Computation = tuple[str | None, str]
"""Where ops run together: the node that calls a computation, and its name."""


class OpFigures(Struct, frozen=True, kw_only=True, gc=False):
    """What one op took in one call.

    Attributes:
        self_ps: Time in which some thread worked for it and not for an op inside it.
        thread_ps: The same, added up over the threads.
        total_ps: Time from its start until its results were there, ops inside it included.
    """

    executions: int
    self_ps: int
    thread_ps: int
    total_ps: int


class TracedRun(Struct, frozen=True, kw_only=True):
    """One call of the program on one device (plane and ordinal).

    In `busy_ps` some thread worked for an op. What is `unmatched_ps` is of ops that the graph does
    not have. `spans` are every op's and every piece of work's, by start.
    """

    device: tuple[str, int]
    start_ps: int
    end_ps: int
    busy_ps: int
    threads: int
    ops: Mapping[str, OpFigures]
    unmatched_ps: Mapping[str, int]
    spans: Sequence[tuple[str, Span]]

    @property
    def span_ps(self) -> int:
        """From the first op's start to the last one's end."""
        return self.end_ps - self.start_ps


@bulk
def find_runs(timeline: Timeline, nodes: Sequence[Node]) -> list[TracedRun]:
    """Return every traced call of the timeline's one module with its ops' figures, by start."""
    ops_of: dict[Run, list[Span]] = {}
    without: dict[str, list[Span]] = {}
    for span in timeline.spans:
        if span.op is not None:
            if span.run is not None:
                ops_of.setdefault(span.run, []).append(span)
            else:
                without.setdefault(span.plane, []).append(span)
    once = {node.instruction.name for node in nodes if node.parent is None}
    for plane, spans in without.items():
        for number, ops in enumerate(_by_first_op(spans, once)):
            ops_of[plane, -1, number] = ops
    slices: dict[int, list[Slice]] = {}
    for owner, thread, start, end in timeline.slices:
        slices.setdefault(id(owner), []).append((thread, start, end))
    work: dict[int, list[Span]] = {}
    for span in timeline.spans:
        if span.op is None and span.owner is not None:
            work.setdefault(id(span.owner), []).append(span)
    by_instruction: dict[str, list[Node]] = {}
    for node in nodes:
        by_instruction.setdefault(node.instruction.name, []).append(node)
    computations = {node.name: (node.parent, node.computation) for node in nodes}
    runs = [
        _figures(key[:2], ops, _name_ops(ops, by_instruction), slices, work, computations)
        for key, ops in ops_of.items()
    ]
    return sorted(runs, key=lambda run: run.start_ps)


def _by_first_op(spans: Sequence[Span], once: set[str]) -> list[list[Span]]:
    """Separate calls where the trace does not: each begins with the same op as the first."""
    first = next((span.op for span in spans if span.op in once), None)
    runs: list[list[Span]] = [[]]
    for span in spans:
        if span.op == first and any(other.op == first for other in runs[-1][:1]):
            runs.append([])
        if span.op == first or runs[-1]:
            runs[-1].append(span)
    return [run for run in runs if run]


def _name_ops(ops: Sequence[Span], nodes: Mapping[str, list[Node]]) -> dict[int, str | None]:
    """Name the node of every op of one call by the op's id; None where the graph has no such op."""
    found: dict[int, str | None] = {}
    unclear: dict[str, list[Span]] = {}
    for span in ops:
        candidates = nodes.get(span.op or "", [])
        if len(candidates) > 1:
            container = _container(span, found)
            inside = [node for node in candidates if node.parent == container]
            if container is None or len(inside) != 1:
                unclear.setdefault(span.op or "", []).append(span)
                continue
            candidates = inside
        found[id(span)] = candidates[0].name if candidates else None
    for name, spans in unclear.items():
        # Called from several places, one after the other: each gets its share of the events.
        for index, span in enumerate(spans):
            found[id(span)] = nodes[name][index * len(nodes[name]) // len(spans)].name
    return found


def _container(span: Span, found: Mapping[int, str | None]) -> str | None:
    outer = span.parent
    while outer is not None and outer.op is None:
        outer = outer.parent
    return found.get(id(outer)) if outer is not None else None


def _figures(
    device: tuple[str, int],
    ops: Sequence[Span],
    names: Mapping[int, str | None],
    slices: Mapping[int, Sequence[Slice]],
    work: Mapping[int, Sequence[Span]],
    computations: Mapping[str, Computation],
) -> TracedRun:
    """Add up the events of one call by op."""
    members: dict[str, list[Span]] = {}
    worked: dict[str, list[Slice]] = {}
    unmatched: dict[str, list[Slice]] = {}
    shown: list[tuple[str, Span]] = []
    for span in ops:
        name, pieces = names[id(span)], slices.get(id(span), ())
        if name is None:
            unmatched.setdefault(span.op or "", []).extend(pieces)
        else:
            members.setdefault(name, []).append(span)
            worked.setdefault(name, []).extend(pieces)
            shown += [(name, piece) for piece in (span, *work.get(id(span), ()))]
    executions = _executions({name: len(spans) for name, spans in members.items()}, computations)
    everything = list(itertools.chain.from_iterable(worked.values()))
    return TracedRun(
        device=device,
        start_ps=min(span.start_ps for span in ops),
        end_ps=max(itertools.chain((s.done_ps for s in ops), (end for *_, end in everything))),
        busy_ps=merged(everything),
        threads=len({thread for thread, _, _ in everything}),
        ops={
            name: OpFigures(
                executions=executions[name],
                self_ps=merged(worked[name]),
                thread_ps=sum(end - start for _, start, end in worked[name]),
                total_ps=merged((0, span.start_ps, span.done_ps) for span in spans),
            )
            for name, spans in members.items()
        },
        unmatched_ps={name: merged(pieces) for name, pieces in unmatched.items()},
        spans=sorted(shown, key=lambda pair: pair[1].start_ps),
    )


def _executions(
    events: Mapping[str, int], computations: Mapping[str, Computation]
) -> dict[str, int]:
    """Return how often ops ran that left so many events.

    Ops of one computation run equally often, but some take several steps, each with an event: a
    sort copies first. So the fewest events of an op beside it count, if those of all others are
    multiples of it.
    """
    fewest: dict[Computation, int] = {}
    for name, count in events.items():
        where = computations[name]
        fewest[where] = min(count, fewest.get(where, count))
    uneven = {
        computations[name] for name, count in events.items() if count % fewest[computations[name]]
    }
    return {
        name: count if computations[name] in uneven else fewest[computations[name]]
        for name, count in events.items()
    }


def merged(pieces: Iterable[Slice]) -> int:
    """Measure the time in which at least one of the pieces lies."""
    total, until = 0, None
    for _, start, end in sorted(pieces, key=lambda piece: piece[1]):
        if until is None or start > until:
            total, until = total + end - start, end
        elif end > until:
            total, until = total + end - until, end
    return total
