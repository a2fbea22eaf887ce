"""The frames and the timeline of a trace, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.results.op_trace import (
    LoopTrace,
    OpShare,
    OpTiming,
    OpTrace,
    RunTiming,
    TraceEvent,
    executions_of,
)


def timing(name: str, opcode: str, self_s: float, shapes: str = "() -> f32[8]") -> OpTiming:
    return OpTiming(
        name=name, opcode=opcode, shapes=shapes, layer="net", phase="forward", source="net.py:1",
        executions=2, self_s=self_s, total_s=2 * self_s, thread_s=self_s, self_median_s=self_s,
        self_min_s=self_s, self_max_s=self_s, flops=100, bytes=None,
    )  # fmt: skip


def share(name: str, layer: str | None, time_s: float, flops: int | None = 50) -> OpShare:
    return OpShare(
        name=name, opcode="add", layer=layer, phase="forward", source=f"{layer}.py:1",
        time_s=time_s, time_source="measured", executions=2, flops=flops, bytes=8,
    )  # fmt: skip


def run(span_s: float, call_s: float | None, *, counted: bool = True) -> RunTiming:
    return RunTiming(
        span_s=span_s, busy_s=0.9 * span_s, ops_s=span_s, thread_s=span_s, threads=2,
        call_s=call_s, counted=counted,
    )  # fmt: skip


TRACE = OpTrace(
    module="m",
    timings=(
        timing("fusion", "fusion", 6.0),
        timing("dot.1", "dot", 3.0),
        timing("dot.2", "dot", 1.0, "() -> f32[4]"),
    ),
    shares=(share("x", "a", 4.0), share("y", "b", 2.0, None), share("z", "a", 4.0)),
    loops=(),
    runs=(run(10.0, 11.0), run(30.0, 33.0, counted=False)),
    warm_up=2,
    untraced_s=20.0,
    unmatched={},
    threads=("main", "pool"),
    events=(TraceEvent(name="fusion", thread=1, start_s=1.0, duration_s=6.0),),
    events_left_out=0,
)


def test_the_whole() -> None:
    assert TRACE.time_s == 10.0
    assert TRACE.span_s == 10.0
    assert TRACE.coverage == pytest.approx(0.9)
    assert TRACE.traced_ratio == 22.0 / 20.0


def test_the_frame_has_a_row_per_op() -> None:
    assert list(TRACE.frame["share"]) == [0.6, 0.3, 0.1]
    assert TRACE.frame["bytes"].isna().all()
    assert TRACE.frame["executions"].sum() == 6


def test_grouped_by_opcode_and_shape() -> None:
    fusion, dot = TRACE.grouped("opcode").to_dict("records")
    assert (fusion["opcode"], fusion["self_s"]) == ("fusion", 6.0)
    assert (dot["ops"], dot["executions"], dot["flops"]) == (2, 4, 200)
    assert (dot["self_s"], dot["self_per_execution_s"], dot["total_s"]) == (4.0, 1.0, 8.0)
    assert dot["share"] == 0.4
    assert len(TRACE.grouped("shape")) == 3


def test_grouped_by_layer_and_source_with_fusions_taken_apart() -> None:
    by_layer = TRACE.grouped("layer")
    assert by_layer["layer"].to_list() == ["a", "b"]
    assert by_layer["self_s"].to_list() == [8.0, 2.0]
    assert pd.isna(by_layer["flops"][1])
    assert "total_s" not in by_layer
    assert TRACE.grouped("source")["source"].to_list() == ["a.py:1", "b.py:1"]
    with pytest.raises(InputError, match="cannot group by 'colour'; choose one of: opcode"):
        TRACE.grouped("colour")


def test_the_timeline_opens_in_perfetto(tmp_path: Path) -> None:
    content = json.loads(TRACE.save_chrome_trace(tmp_path / "t.json").read_text("utf-8"))
    names = [event for event in content["traceEvents"] if event["ph"] == "M"]
    (event,) = [event for event in content["traceEvents"] if event["ph"] == "X"]
    assert [name["args"]["name"] for name in names] == ["main", "pool"]
    assert (event["name"], event["tid"], event["ts"], event["dur"]) == ("fusion", 1, 1e6, 6e6)
    assert event["args"]["layer"] == "net"


def test_it_is_kept(tmp_path: Path) -> None:
    assert eg.load(TRACE.save(tmp_path / "trace.edgegraph")) == TRACE


def test_loops_that_the_trace_counts() -> None:
    found = LoopTrace(
        name="w", body="b", condition="c", entered=1, iterations=5, checked=6, trips=4, expected=4
    )
    assert executions_of([found]) == {("w", "b"): 5, ("w", "c"): 6}
    assert found.agrees is False


def test_it_has_no_figure() -> None:
    with pytest.raises(InputError, match="than this op trace; of such a result there is no figure"):
        TRACE.draw("roofline")


@pytest.mark.parametrize("by", ["layer", "opcode"])
def test_a_trace_of_nothing_has_the_same_columns(by: str) -> None:
    empty = replace(TRACE, timings=(), shares=())
    expected = TRACE.grouped(by).dtypes
    assert (empty.grouped(by).dtypes == expected).all()
