"""Which op every thread worked for, at every moment of a trace.

On the CPU an op is an event of the thread that launched it. The thread pool takes part: XLA
notes where work was handed to the pool (``Record``) and where a worker began and finished it
(``StartRegion``, ``StopRegion``), which tells for which op it worked. An op that works in the
background shows a short event; its results are there when ``end: NAME`` is noted, on whichever
thread. What is left when its last piece is done continues in that piece, inside an event of the
executor. On a device every line is a stream or a unit of it, and its events are ops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from edgegraph.base.timing import bulk
from edgegraph.measure.trace.xplane import Event, Line, Plane, Stat, named_program, program_number

STEP = "edgegraph call"
"""Name of the annotation around every traced call."""

_DEVICE, _OPS, _MODULES = "/device:", "XLA Ops", "XLA Modules"
_EXECUTOR, _WAIT, _END = "ThunkExecutor::Execute", "(wait", "end: "
_RECORD, _START, _STOP = (
    f"ThreadpoolListener::{name}" for name in ("Record", "StartRegion", "StopRegion")
)

Run = tuple[str, int, int]
"""Which call on which device: plane, device ordinal, run id."""

Ran = tuple[str, int | None]
"""Which program: the name of its module, "" where unknown, and the program's id."""

Flow = tuple[int, int]
"""Joins two events on different threads: kind and number."""


class Span(Struct, kw_only=True, eq=False):
    """A stretch of one thread's time on the trace's clock.

    Attributes:
        op: The HLO instruction; None for the executor and a piece of work of the thread pool.
        ran: The program that it belongs to.
        run: The call that it belongs to; None where the trace does not say.
        parent: The span of the same thread that it stands in.
        done_ps: When an op's results were there.
        owner: The op that the time belongs to, which no other span inside takes.
    """

    thread: int
    start_ps: int
    end_ps: int
    op: str | None = None
    plane: str = ""
    ran: Ran = ("", None)
    run: Run | None = None
    parent: Span | None = None
    done_ps: int = 0
    owner: Span | None = None


class Timeline(Struct, frozen=True, kw_only=True):
    """What a trace says about programs: their ops and the pool's work for them, by start.

    Of all the time that was worked for an op, `slices` have the op, thread, start and end.
    """

    spans: Sequence[Span]
    slices: Sequence[tuple[Span, int, int, int]]
    threads: Sequence[str]
    calls_ps: Sequence[tuple[int, int]]

    @property
    def programs(self) -> frozenset[Ran]:
        """All that have ops in the trace."""
        return frozenset(span.ran for span in self.spans if span.op is not None and span.ran[0])

    def of(self, module: str, program: int | None = None) -> Timeline:
        """Return what it says about one program; of no id, about all of that name."""
        wanted = (module, program)

        def is_its(span: Span) -> bool:
            return span.owner is not None and are_one(span.owner.ran, wanted)

        return Timeline(
            spans=[span for span in self.spans if is_its(span)],
            slices=[each for each in self.slices if is_its(each[0])],
            threads=self.threads,
            calls_ps=self.calls_ps,
        )


def are_one(one: Ran, other: Ran) -> bool:
    """Return whether two programs may be the same, as far as each is known."""
    return ("" in (one[0], other[0]) or one[0] == other[0]) and (
        None in (one[1], other[1]) or one[1] == other[1]
    )


class _Reader:
    """Collects spans line by line; what joins lines is put together at the end."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.lanes: list[list[Span]] = []
        self.calls: list[tuple[int, int]] = []
        self._launched: dict[Flow, Span] = {}
        self._ended: list[tuple[Flow | None, int]] = []
        self._handed: dict[Flow | None, Span | None] = {}
        self._regions: dict[int, Flow | None] = {}

    def read_host(self, line: Line, plane: str) -> None:
        """Read one thread of the host."""
        thread, spans, marks = len(self.threads), list[Span](), list[Event]()
        started: list[Event] = []
        for event in line.events:
            name, stats = event.name, event.stats
            if "hlo_op" in stats:
                span = _op(event, thread, str(stats["hlo_op"]), plane)
                spans.append(span)
                flow = _flow(stats, "_p")
                if flow is not None:
                    self._launched[flow] = span
            elif name.startswith(_EXECUTOR) and _WAIT not in name:
                spans.append(Span(thread=thread, start_ps=event.start_ps, end_ps=event.end_ps))
            elif name == _START:
                started.append(event)
            elif name == _STOP and started:
                begun = started.pop()
                region = Span(thread=thread, start_ps=begun.start_ps, end_ps=event.end_ps)
                self._regions[id(region)] = _flow(begun.stats, "_c")
                spans.append(region)
            elif name == _RECORD or name.startswith(_END):
                marks.append(event)
            elif name == STEP:
                self.calls.append((event.start_ps, event.end_ps))
        self._keep(line.name, spans, marks)

    def read_device(self, line: Line, plane: str, calls: Sequence[Event]) -> None:
        """Read one stream or unit of a device, whose calls may stand on a line of their own."""
        thread, spans = len(self.threads), list[Span]()
        upcoming, current = list(reversed(calls)), None
        for event in line.events:
            while upcoming and upcoming[-1].start_ps <= event.start_ps:
                current = upcoming.pop()
            inside = current is not None and event.start_ps < current.end_ps
            if calls and not inside:
                continue
            # Where no statistic names it, an event may be named by the instruction's text.
            text = event.display_name or event.name.partition(" = ")[0]
            name = str(event.stats.get("hlo_op", "")) or text.removeprefix("%").strip()
            spans.append(_op(event, thread, name, plane, current if inside else None))
        self._keep(f"{plane} {line.name}", spans, ())

    def _keep(self, name: str, spans: list[Span], marks: Sequence[Event]) -> None:
        """Nest the spans of a line, and see in which of them its marks stand."""
        if not spans and not marks:
            return
        spans.sort(key=lambda span: (span.start_ps, -span.end_ps))
        self.threads.append(name)
        self.lanes.append(spans)
        stack: list[Span] = []
        waiting = list(reversed(marks))
        for span in spans:
            while waiting and waiting[-1].start_ps < span.start_ps:
                self._mark(waiting.pop(), stack)
            span.parent = _innermost(stack, span.start_ps)
            stack.append(span)
        while waiting:
            self._mark(waiting.pop(), stack)

    def _mark(self, event: Event, stack: list[Span]) -> None:
        """Read a mark: work handed to the pool, or the end of an op."""
        if event.name == _RECORD:
            self._handed[_flow(event.stats, "_p")] = _innermost(stack, event.start_ps)
            return
        at = event.start_ps
        ended = [span for span in stack if span.end_ps <= at]
        parent = _innermost(stack, at)
        # The last piece of an op goes on with what comes after it before it notes the end.
        for span in ended:
            if span.parent is parent and span.op is None and id(span) not in self._regions:
                at = span.start_ps
                break
        self._ended.append((_flow(event.stats, "_c"), at))

    def finish(self) -> Timeline:
        """Join the lines."""
        for flow, at in self._ended:
            op = self._launched.get(flow) if flow is not None else None
            if op is not None:
                op.done_ps = max(op.done_ps, at)
        spans = sorted(
            (span for lane in self.lanes for span in lane), key=lambda span: span.start_ps
        )
        ran = {span.ran for span in spans if span.op is not None}
        on_device = {span.ran for span in spans if span.plane.startswith(_DEVICE)}
        launched = {each for each in ran if any(are_one(each, other) for other in on_device)}
        for span in spans:
            span.owner = self._owner(span, launched)
        # A worker that was called late finds nothing left to do: its op is done by then.
        slices = [
            (op, span.thread, start, min(end, op.done_ps))
            for lane in self.lanes
            for span, start, end in slices_of(lane)
            if (op := span.owner) is not None and start < op.done_ps
        ]
        return Timeline(
            spans=[span for span in spans if span.owner is not None],
            slices=slices,
            threads=tuple(self.threads),
            calls_ps=tuple(sorted(self.calls)),
        )

    def _owner(self, span: Span, launched: Collection[Ran]) -> Span | None:
        """Return the op that a span works for; those of all earlier spans are known.

        The host launches what a device runs, and its events may carry the op's name, too.
        """
        if span.op is not None:
            here = span.plane.startswith(_DEVICE) or span.ran not in launched
            return span if here else None
        if id(span) in self._regions:
            flow = self._regions[id(span)]
            giver = self._handed.get(flow) if flow is not None else None
            return giver.owner if giver is not None else None
        # A container runs its contents by an executor of its own.
        outer = span.parent
        return outer.owner if outer is not None and outer.op is not None else None


def _op(event: Event, thread: int, name: str, plane: str, call: Event | None = None) -> Span:
    """Make the span of an op; `call` is the event of the whole program that it stands in."""
    stats, run_id = event.stats, event.stats.get("run_id")
    whole, number = ("", None) if call is None else named_program(call.name)
    program = stats.get("program_id", number)
    if run_id is None and call is not None:
        run_id = call.stats.get("run_id", call.start_ps)
    ordinal = stats.get("device_ordinal", 0)
    known = run_id is not None and _are_numbers(ordinal, run_id)
    return Span(
        thread=thread,
        start_ps=event.start_ps,
        end_ps=event.end_ps,
        op=name,
        plane=plane,
        ran=(
            str(stats.get("hlo_module", "")) or whole,
            program_number(program) if isinstance(program, int) else None,
        ),
        run=(plane, int(ordinal), int(run_id or 0)) if known else None,
        done_ps=event.end_ps,
    )


@bulk
def read_timeline(planes: Sequence[Plane]) -> Timeline:
    """Find the ops of programs in a trace, and all the time that was worked for them."""
    reader = _Reader()
    for plane in planes:
        if not plane.name.startswith(_DEVICE):
            for line in plane.lines:
                reader.read_host(line, plane.name)
            continue
        named = {line.name: line for line in plane.lines}
        calls = named[_MODULES].events if _MODULES in named else ()
        if _OPS in named:
            reader.read_device(named[_OPS], plane.name, calls)
            continue
        for line in plane.lines:
            ops = tuple(event for event in line.events if "hlo_op" in event.stats)
            reader.read_device(Line(name=line.name, events=ops), plane.name, calls)
    return reader.finish()


def slices_of(spans: Sequence[Span]) -> Iterator[tuple[Span, int, int]]:
    """Cut one thread's spans, by start, into slices that belong to the span begun last."""
    stack: list[Span] = []
    now = 0
    for span in [*spans, None]:
        while stack and (span is None or now < span.start_ps):
            until = stack[-1].end_ps if span is None else min(stack[-1].end_ps, span.start_ps)
            if until > now:
                yield stack[-1], now, until
                now = until
            if stack[-1].end_ps <= now:
                stack.pop()
        if span is not None:
            now = max(now, span.start_ps) if stack else span.start_ps
            stack.append(span)


def _innermost(stack: list[Span], at_ps: int) -> Span | None:
    """Remove what has ended from the stack and return the span that is still running."""
    while stack and stack[-1].end_ps <= at_ps and stack[-1].start_ps < at_ps:
        stack.pop()
    return stack[-1] if stack else None


def _flow(stats: Mapping[str, Stat], key: str) -> Flow | None:
    kind, number = stats.get(f"{key}t", 0), stats.get(key)
    return (int(kind), int(number)) if number is not None and _are_numbers(kind, number) else None


def _are_numbers(*values: Stat | None) -> bool:
    return all(isinstance(value, int) for value in values)
