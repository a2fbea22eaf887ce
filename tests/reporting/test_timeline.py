"""A schedule on the page, in words and as a table."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgegraph.reporting.timeline import (
    MOST_DEEP,
    Chart,
    Lane,
    Span,
    merge,
    schedule_chart,
    schedule_sentences,
    timeline,
    trace_chart,
    transfer_table,
)
from edgegraph.results.op_trace import TraceEvent
from edgegraph.results.schedule import EXPOSED, HIDDEN, Schedule, ScheduledOp, Transfer
from tests import analyses
from tests.analysis.test_schedule import COPIES, simulated
from tests.results.test_op_trace import TRACE


def lane(chart: Chart, name: str) -> Lane:
    return next(each for each in chart.lanes if each.name == name)


def places(chart: Chart, name: str) -> list[tuple[str, float, float]]:
    return [(mark.kind, mark.left, mark.width) for mark in lane(chart, name).marks]


def test_a_transfer_is_parted_where_the_compute_begins_to_wait() -> None:
    # The copy takes 7 s beside 2 + 3 s of compute, which then waits 2 s; 1 s follows: 8 s in all.
    schedule = simulated(COPIES, {"start": 7.0, "a": 2.0, "b": 3.0, "c": 1.0})
    chart = schedule_chart(schedule, {})
    assert places(chart, "compute") == [
        ("neutral", 0.0, 25.0),
        ("neutral", 25.0, 37.5),
        ("wait", 62.5, 25.0),
        ("neutral", 87.5, 12.5),
    ]
    assert places(chart, "transfers within the device") == [
        ("hidden", 0.0, 62.5),
        ("exposed", 62.5, 25.0),
    ]
    assert places(chart, "critical path") == [("critical", 0.0, 87.5), ("critical", 87.5, 12.5)]
    assert [time for _, time in chart.ticks] == ["0 s", "2 s", "4 s", "6 s", "8 s"]
    assert "measured op times" in chart.label


def test_a_hidden_transfer_is_in_one_piece_and_nothing_waits() -> None:
    chart = schedule_chart(simulated(COPIES, {"start": 4.0, "a": 2.0, "b": 3.0, "c": 1.0}), {})
    kinds = {mark.kind for each in chart.lanes for mark in each.marks}
    assert kinds == {"neutral", "hidden", "critical"}
    assert {kind for kind, _ in chart.legend} == kinds


def test_traced_ops_stand_below_those_that_they_run_in() -> None:
    def event(name: str, thread: int, start_s: float, duration_s: float) -> TraceEvent:
        return TraceEvent(name=name, thread=thread, start_s=start_s, duration_s=duration_s)

    trace = replace(
        TRACE,
        events=(
            event("while", 0, 0.0, 6.0), event("dot", 0, 1.0, 2.0), event("add", 0, 3.0, 1.0),
            event("dot", 1, 0.0, 3.0), event("copy", 0, 6.0, 2.0),
        ),
    )  # fmt: skip
    chart = trace_chart(trace, {})
    shown = [(each.name, [mark.label for mark in each.marks]) for each in chart.lanes]
    assert shown == [("main", ["while", "copy"]), ("", ["dot", "add"]), ("pool", ["dot"])]
    assert chart.ticks[-1] == (100.0, "8 s")


def test_deeper_ops_than_there_are_rows_for_are_left_out() -> None:
    events = tuple(
        TraceEvent(name=f"call{depth}", thread=0, start_s=depth, duration_s=20.0 - 2 * depth)
        for depth in range(MOST_DEEP + 2)
    )
    chart = trace_chart(replace(TRACE, events=events, threads=("main",)), {})
    assert len(chart.lanes) == MOST_DEEP


def test_large_programs_are_drawn_with_few_rectangles() -> None:
    ops = tuple(
        ScheduledOp(name=f"op{number}", lane="compute", begin_s=float(number), duration_s=1.0)
        for number in range(20_000)
    )
    schedule = Schedule(
        ops=ops, transfers=(), makespan_s=20e3, compute_s=20e3, critical_path_s=20e3, untimed=0,
        time_source="estimated", critical_path=tuple(op.name for op in ops),
    )  # fmt: skip
    chart = schedule_chart(schedule, {})
    assert chart.merged
    assert sum(len(each.marks) for each in chart.lanes) <= 2000
    first, last = lane(chart, "compute").marks[0], lane(chart, "compute").marks[-1]
    assert (first.left, round(last.left + last.width, 2)) == (0.0, 100.0)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(0, 0.1)), min_size=1, max_size=200),
    st.integers(2, 50),
)
def test_merging_keeps_the_ends_the_order_and_the_limit(
    pieces: list[tuple[float, float]], most: int
) -> None:
    spans, now = [], 0.0
    for number, (length, gap) in enumerate(pieces):
        spans.append(Span(now, length, "memory", f"op{number}", ""))
        now += length + gap
    merged = merge(spans, now, most)
    assert len(merged) <= most
    assert merged[0].begin_s == 0.0
    assert merged[-1].end_s == pytest.approx(spans[-1].end_s)
    for before, after in pairwise(merged):
        assert before.end_s <= after.begin_s * (1 + 1e-9)


def test_every_part_of_an_analysis_is_there_where_it_was_taken() -> None:
    analysis = analyses.small_cnn(1)
    assert analysis.schedule is not None
    found = timeline(analysis)
    assert found is not None
    assert found.schedule is not None
    assert found.trace is None
    assert found.transfers is None
    assert "no asynchronous operations" in found.said[0]
    traced = timeline(replace(analysis, schedule=None, op_trace=TRACE))
    assert traced is not None
    assert (traced.schedule, traced.said) == (None, ())
    assert traced.trace is not None
    assert timeline(replace(analysis, schedule=None)) is None


def transfer(number: int, exposed_s: float, **more: object) -> Transfer:
    known: dict[str, object] = {
        "start": f"all-reduce-start.{number}", "done": f"all-reduce-done.{number}",
        "opcode": "all-reduce", "lane": "network", "layer": "net/dense", "executions": 1,
        "bytes": 4096, "duration_s": 2e-3, "compute_s": 1e-3, "between": 3,
        "exposed_s": exposed_s, "verdict": EXPOSED if exposed_s else HIDDEN,
    }  # fmt: skip
    return Transfer(**{**known, **more})  # type: ignore[arg-type]


def schedule(*transfers: Transfer) -> Schedule:
    return Schedule(
        ops=(ScheduledOp(name="dot", lane="compute", begin_s=0.0, duration_s=6e-3),),
        transfers=transfers, makespan_s=8e-3, compute_s=6e-3, critical_path_s=4e-3, untimed=2,
        time_source="measured",
    )  # fmt: skip


def rows(of: Schedule, *, wide: bool = False) -> list[str]:
    text = io.StringIO()
    Console(width=120, file=text).print(transfer_table(of, wide=wide))
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_what_is_waited_for_and_the_critical_path_are_said() -> None:
    said = schedule_sentences(schedule(transfer(1, 5e-4), transfer(2, 0.0)))
    assert said == [
        "Asynchronous operations take 4 ms in all; the compute waits 500 µs for them.",
        "Critical path 4 ms of 6 ms (measured op times): parallel units could make it at most 1.5"
        " times faster.",
        "2 ops of unknown time count as nothing.",
    ]
    serial = replace(schedule(), critical_path_s=6e-3, untimed=0)
    assert schedule_sentences(serial) == [
        "The schedule has no asynchronous operations.",
        "Critical path 6 ms of 6 ms (measured op times): parallel units gain nothing.",
    ]


def test_the_longest_waits_come_first_counted_as_often_as_they_run() -> None:
    told = rows(schedule(transfer(1, 2e-4), transfer(2, 1e-4, executions=3), transfer(3, 0.0)))
    starts = [line.split()[1] for line in told if line.startswith("all-reduce")]
    assert starts == [f"all-reduce-start.{number}" for number in (2, 1, 3)]
    assert "all-reduce all-reduce-start.3 hidden 4.1 kB 2 ms 1 ms 0 s" in told
    wide = rows(schedule(transfer(2, 1e-4, executions=3)), wide=True)
    assert any("exposed net/dense 3 4.1 kB" in line for line in wide)


def test_twenty_transfers_are_shown() -> None:
    told = rows(schedule(*(transfer(number, 1e-4) for number in range(23))))
    assert sum(line.startswith("all-reduce") for line in told) == 20
    assert "3 more" in told


def test_threads_are_named_as_one_speaks_of_them() -> None:
    raw = ["python", "tf_XLAEigen/2229222696331088", "tf_XLAEigen/13", "/device:GPU:0 Stream #1"]
    trace = replace(TRACE, threads=tuple(raw), events=tuple(
        TraceEvent(name="dot", thread=thread, start_s=0.0, duration_s=1e-6) for thread in range(4)
    ))  # fmt: skip
    assert [lane.name for lane in trace_chart(trace, {}).lanes] == [
        "calling thread", "XLAEigen, worker thread 1", "XLAEigen, worker thread 2",
        "/device:GPU:0 Stream #1",
    ]  # fmt: skip
