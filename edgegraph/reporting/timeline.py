"""When ops run: a schedule in words, its transfers as a table, and timelines lane by lane."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from edgegraph.base.units import UNKNOWN, ratio, seconds, si
from edgegraph.reporting.palette import BOUND_COLOURS
from edgegraph.reporting.table_kit import HtmlTable, html_table, plain_table
from edgegraph.reporting.words import plural
from edgegraph.results.analysis import Analysis, OpRecord
from edgegraph.results.op_trace import OpTrace, TraceEvent
from edgegraph.results.schedule import (
    COMPUTE,
    EXPOSED,
    HIDDEN,
    PARTLY_HIDDEN,
    Schedule,
    ScheduledOp,
    Transfer,
)

MOST_TRANSFERS = 20

_VERDICT_STYLE = {HIDDEN: "green", PARTLY_HIDDEN: "yellow", EXPOSED: "red"}

MOST_MARKS = 2000
"""Rectangles of one chart; where there are more ops, neighbours are drawn as one."""

MOST_DEEP = 4
"""Rows of a traced thread: ops that run inside others stand below them."""

_LABELLED = 7.0
"""Percent of the width from which a rectangle has room for a name."""

CRITICAL_PATH = "critical path"

_NAME_PIXELS, _LANE_PIXELS, _THIN_PIXELS, _GAP_PIXELS = 18, 20, 5, 3

_LANES = {
    COMPUTE: "compute",
    "copy": "transfers within the device",
    "network": "transfers to other devices",
    "asynchronous": "computations beside the others",
}
_LEGEND = {
    **{bound: f"{bound}-bound" for bound in BOUND_COLOURS},
    "neutral": "no known bound",
    "hidden": "transfer, hidden behind compute",
    "exposed": "transfer, exposed: the compute waits for it",
    "wait": "compute waits",
    "critical": CRITICAL_PATH,
}
"""What every kind of rectangle means, in the order of the legend."""

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the axis, as shares of it."""


class Span(NamedTuple):
    """A stretch of time to draw: seconds, what it is, and what is said of it."""

    begin_s: float
    duration_s: float
    kind: str
    name: str
    title: str

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.begin_s + self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A rectangle, in percent of the chart's width."""

    left: float
    width: float
    kind: str
    title: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One row of a chart, in CSS pixels from its top; without a name it continues a lane."""

    name: str
    top: int
    height: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lanes from top to bottom over one axis of time; height in CSS pixels.

    Attributes:
        label: What a screen reader says of it.
        ticks: Places on the axis, in percent of the width, and the times there.
        legend: The kinds of rectangles that occur, and what they mean.
        merged: Whether rectangles stand for several ops.
    """

    label: str
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    height: int
    legend: tuple[tuple[str, str], ...]
    merged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What the page shows of when ops run, each part as far as it is known."""

    schedule: Chart | None
    said: tuple[str, ...]
    transfers: HtmlTable | None
    trace: Chart | None
    traced: str


def timeline(analysis: Analysis) -> Timeline | None:
    """Gather what is known of when the ops of a program run; None where nothing is."""
    schedule, trace = analysis.schedule, analysis.op_trace
    timed = schedule if schedule is not None and schedule.makespan_s > 0 else None
    moving = schedule if schedule is not None and schedule.transfers else None
    traced = trace if trace is not None and trace.events else None
    if timed is None and moving is None and traced is None:
        return None
    said = ""
    if traced is not None:
        said = f"Measured: the call of median length of {len(traced.runs)} traced ones"
        if traced.events_left_out:
            said += f"; its last {traced.events_left_out:,} events are left out"
        said += "."
    records = {record.name: record for record in analysis.op_records}
    return Timeline(
        schedule=None if timed is None else schedule_chart(timed, records),
        said=() if timed is None else tuple(schedule_sentences(timed)),
        transfers=None if moving is None else html_table(transfer_table(moving, wide=True)),
        trace=None if traced is None else trace_chart(traced, records),
        traced=said,
    )


def schedule_sentences(schedule: Schedule) -> list[str]:
    """Describe in words what a schedule comes to: what it waits for, and the critical path."""
    said = []
    if not schedule.transfers:
        said.append("The schedule has no asynchronous operations.")
    elif schedule.transfer_s:
        said.append(
            f"Asynchronous operations take {seconds(schedule.transfer_s)} in all; the compute waits"
            f" {seconds(schedule.exposed_s)} for them."
        )
    if schedule.parallelism is not None:
        gain = ratio(schedule.parallelism)
        could = f"could make it at most {gain} times faster" if gain != "1" else "gain nothing"
        said.append(
            f"Critical path {seconds(schedule.critical_path_s)} of"
            f" {seconds(schedule.compute_s)} ({schedule.time_source} op times): parallel units"
            f" {could}."
        )
    if schedule.untimed:
        said.append(f"{plural(schedule.untimed, 'op')} of unknown time count as nothing.")
    return said


def transfer_table(schedule: Schedule, *, wide: bool = False) -> Table:
    """Show the asynchronous operations, those that the compute waits for longest first."""
    waited = sorted(schedule.transfers, key=lambda t: -(t.exposed_s or 0.0) * (t.executions or 1))
    headings = ["bytes", "takes", "compute beside", "exposed"]
    table = plain_table(
        "transfer", "verdict", *["layer", "runs"] * wide, *headings, words=("verdict", "layer")
    )
    for transfer in waited[:MOST_TRANSFERS]:
        runs = UNKNOWN if transfer.executions is None else f"{transfer.executions:,}"
        table.add_row(
            f"{transfer.opcode} {transfer.start}",
            Text(transfer.verdict or UNKNOWN, _VERDICT_STYLE.get(transfer.verdict or "", "")),
            *[transfer.layer or "", runs] * wide,
            si(transfer.bytes, "B"),
            seconds(transfer.duration_s),
            seconds(transfer.compute_s),
            seconds(transfer.exposed_s),
        )
    if len(waited) > MOST_TRANSFERS:
        table.add_row(f"{len(waited) - MOST_TRANSFERS} more", *[""] * (7 if wide else 5))
    return table


def schedule_chart(schedule: Schedule, records: Mapping[str, OpRecord]) -> Chart:
    """Draw the compute lane, those of transfers, and the critical path; colours by the records."""
    by_lane = {
        lane: [op for op in schedule.ops if op.lane == lane and op.duration_s] for lane in _LANES
    }
    moved = {transfer.start: transfer for transfer in schedule.transfers}
    lanes: list[tuple[str, list[Span]]] = []
    compute = [
        _op_span(op.name, op.begin_s, op.duration_s, records.get(op.name))
        for op in by_lane.pop(COMPUTE)
    ]
    waits = _waits(compute, schedule.makespan_s) if schedule.transfers else []
    lanes.append((_LANES[COMPUTE], sorted([*compute, *waits])))
    for lane, ops in by_lane.items():
        spans = [span for op in ops for span in _transfer_spans(op, moved.get(op.name))]
        if spans:
            lanes.append((_LANES[lane], sorted(spans)))
    path = set(schedule.critical_path)
    critical = [
        Span(op.begin_s, op.duration_s, "critical", "", f"{op.name}: on the critical path")
        for op in schedule.ops
        if op.name in path
    ]
    if critical:
        lanes.append((CRITICAL_PATH, sorted(critical)))
    label = f"schedule over {seconds(schedule.makespan_s)}, {schedule.time_source} op times"
    return _chart(label, lanes, schedule.makespan_s)


def trace_chart(trace: OpTrace, records: Mapping[str, OpRecord]) -> Chart:
    """Draw the ops of one traced call, thread by thread, ops inside others below them."""
    lanes: list[tuple[str, list[Span]]] = []
    for thread, thread_name in enumerate(_thread_names(trace.threads)):
        events = (event for event in trace.events if event.thread == thread)
        for depth, row in enumerate(_nested(events)):
            spans = [
                _op_span(event.name, event.start_s, event.duration_s, records.get(event.name))
                for event in row
            ]
            lanes.append(("" if depth else thread_name, spans))
    whole_s = max(event.start_s + event.duration_s for event in trace.events)
    return _chart(f"one traced call over {seconds(whole_s)}, measured", lanes, whole_s)


_POOLED = re.compile(r"(?:tf_)?(\w+)/\d+")
"""How the profiler names a thread of a pool: by the pool and the system's number of the thread."""


def _thread_names(threads: Sequence[str]) -> list[str]:
    """Name threads as one speaks of them; those of a pool are counted."""
    counts: dict[str, int] = {}
    names = []
    for name in threads:
        pooled = _POOLED.fullmatch(name)
        if pooled:
            pool = pooled[1]
            counts[pool] = counts.get(pool, 0) + 1
            name = f"{pool}, worker thread {counts[pool]}"
        names.append("calling thread" if name == "python" else name)
    return names


def _op_span(name: str, begin_s: float, duration_s: float, record: OpRecord | None) -> Span:
    kind, title = "neutral", f"{name}: {seconds(duration_s)}"
    if record is not None:
        kind = record.bound or kind
        source = "" if record.time_source is None else f" ({record.time_source})"
        title += f"{source}, {record.opcode}{f', {record.layer}' if record.layer else ''}"
    return Span(begin_s, duration_s, kind, name, title)


def _waits(compute: Sequence[Span], makespan_s: float) -> list[Span]:
    """Find where nothing runs on the compute lane: it waits for a transfer."""
    least_s = 1e-6 * makespan_s
    ends = [0.0, *(span.end_s for span in compute)]
    begins = [*(span.begin_s for span in compute), makespan_s]
    return [
        Span(end, begin - end, "wait", "", f"waits {seconds(begin - end)} for a transfer")
        for end, begin in zip(ends, begins, strict=True)
        if begin - end > least_s
    ]


def _transfer_spans(op: ScheduledOp, transfer: Transfer | None) -> Iterator[Span]:
    """Part a transfer into what compute hides and, at its end, what the compute waits for."""
    exposed_s = 0.0 if transfer is None else min(op.duration_s, transfer.exposed_s or 0.0)
    what = "" if transfer is None else f", {transfer.opcode}, {transfer.verdict}"
    title = f"{op.name}: {seconds(op.duration_s)}{what}"
    if exposed_s:
        title += f", exposed {seconds(exposed_s)}"
    hidden_s = op.duration_s - exposed_s
    if hidden_s:
        yield Span(op.begin_s, hidden_s, "hidden", op.name, title)
    if exposed_s:
        yield Span(op.begin_s + hidden_s, exposed_s, "exposed", op.name, title)


def _nested(events: Iterable[TraceEvent]) -> list[list[TraceEvent]]:
    """Lay events of one thread in rows, an event below the one that it runs in."""
    rows: list[list[TraceEvent]] = []
    ends_s: list[float] = []
    for event in sorted(events, key=lambda event: (event.start_s, -event.duration_s)):
        while ends_s and ends_s[-1] <= event.start_s:
            ends_s.pop()
        if len(ends_s) < MOST_DEEP:
            if len(ends_s) == len(rows):
                rows.append([])
            rows[len(ends_s)].append(event)
        ends_s.append(event.start_s + event.duration_s)
    return rows


def _chart(label: str, lanes: Sequence[tuple[str, list[Span]]], whole_s: float) -> Chart:
    most = max(2, MOST_MARKS // max(1, len(lanes)))
    kinds = {span.kind for _, spans in lanes for span in spans}
    drawn: list[Lane] = []
    top = 0
    for name, spans in lanes:
        top += _NAME_PIXELS if name else 0
        height = _THIN_PIXELS if name == CRITICAL_PATH else _LANE_PIXELS
        marks = tuple(_mark(span, whole_s) for span in merge(spans, whole_s, most))
        drawn.append(Lane(name=name, top=top, height=height, marks=marks))
        top += height + _GAP_PIXELS
    return Chart(
        label=label,
        lanes=tuple(drawn),
        ticks=tuple((100 * share, seconds(whole_s * share)) for share in _TICKS),
        height=top,
        legend=tuple((kind, said) for kind, said in _LEGEND.items() if kind in kinds),
        merged=any(len(spans) > most for _, spans in lanes),
    )


def merge(spans: Sequence[Span], whole_s: float, most: int) -> list[Span]:
    """Draw neighbours as one where there are more than `most` spans, which is 2 at least.

    Long ones stay; short ones that begin in the same step of the axis become one of the kind that
    takes most of their time. Spans are in order of time, without overlap.
    """
    if len(spans) <= most:
        return list(spans)
    step_s = whole_s / (most // 2)
    merged: list[Span] = []
    for _, group in groupby(
        enumerate(spans),
        key=lambda found: (
            (True, found[0])
            if found[1].duration_s >= step_s
            else (False, int(found[1].begin_s / step_s))
        ),
    ):
        members = [span for _, span in group]
        merged.append(members[0] if len(members) == 1 else _together(members))
    return merged


def _together(members: Sequence[Span]) -> Span:
    first, last = members[0], members[-1]
    time_s: dict[str, float] = {}
    for span in members:
        time_s[span.kind] = time_s.get(span.kind, 0.0) + span.duration_s
    title = f"{len(members):,} ops, {seconds(sum(time_s.values()))}"
    if first.name and last.name:
        title += f": {first.name} to {last.name}"
    length_s = last.end_s - first.begin_s
    return Span(first.begin_s, length_s, max(time_s, key=time_s.__getitem__), "", title)


def _mark(span: Span, whole_s: float) -> Mark:
    width = 100 * span.duration_s / whole_s
    return Mark(
        left=round(100 * span.begin_s / whole_s, 3),
        width=round(width, 3),
        kind=span.kind,
        title=span.title,
        label=span.name if width >= _LABELLED else "",
    )
