"""Time inside fusions, by hand and by property."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from edgegraph.analysis.records import with_traced_times
from edgegraph.hlo.graph import flatten
from edgegraph.measure.trace import join_trace
from edgegraph.measure.trace.summary import Spent, event_cost, share_out
from edgegraph.results.analysis import OpRecord
from edgegraph.results.timing import LayerLatency
from tests import analyses
from tests.measure.trace.profiles import STRAIGHT, host, op


def record(
    name: str,
    opcode: str = "add",
    *,
    layer: str | None = None,
    parent: str | None = None,
    roof_s: float | None = None,
    flops: int = 0,
) -> OpRecord:
    return OpRecord(
        name=name, opcode=opcode, layer=layer, phase="forward", parent=parent, shape="f32[]",
        executions=1, macs=0, flops=flops, transcendentals=0, bytes_read=0, bytes_written=0,
        wire_bytes=0, flops_lowest=None, roof=None, level=None, compute_time_s=roof_s,
        memory_time_s=None if roof_s is None else 0.0, bound=None, time_s=roof_s,
        time_source=None if roof_s is None else "estimated", source=None, op_name="",
    )  # fmt: skip


def alone(layer: str, seconds: float, covers: tuple[str, ...] = ()) -> LayerLatency:
    """Return a layer that takes `seconds` net of a dispatch floor of 5 us."""
    return LayerLatency(
        layer=layer,
        phase="forward",
        latency=analyses.latency(seconds + 5e-6),
        covers=covers,
        depth=0 if covers else None,
    )


FUSION = (
    record("fusion", "fusion", layer="net"),
    record("p", "parameter", parent="fusion"),
    record("one", layer="net/one", parent="fusion", roof_s=1.0),
    record("two", layer="net/two", parent="fusion", roof_s=2.0),
    record("three", layer="net/two", parent="fusion", roof_s=1.0),
)


def shares(records: tuple[OpRecord, ...], *latencies: LayerLatency) -> dict[str, float]:
    return {share.name: share.time_s for share in share_out(records, {"fusion": 8.0}, latencies)}


def test_by_roofline_where_layers_were_not_timed() -> None:
    assert shares(FUSION) == {"one": 2.0, "two": 4.0, "three": 2.0}
    assert {share.time_source for share in share_out(FUSION, {"fusion": 8.0})} == {
        "split by roofline"
    }


def test_by_layers_where_all_were_timed() -> None:
    """One took three times as long as two: 6 and 2, of which two's ops share by roofline."""
    timed = (alone("net/one", 3e-3), alone("net/two", 1e-3))
    found = shares(FUSION, *timed)
    assert found["one"] == pytest.approx(6.0)
    assert found["two"] == pytest.approx(2.0 * 2 / 3)
    assert found["three"] == pytest.approx(2.0 / 3)
    sources = {share.time_source for share in share_out(FUSION, {"fusion": 8.0}, timed)}
    assert sources == {"split by layers"}


def test_by_roofline_where_one_layer_was_not_timed() -> None:
    assert shares(FUSION, alone("net/one", 3e-3)) == shares(FUSION)


def test_a_layer_that_also_works_elsewhere_counts_with_what_it_does_here() -> None:
    """Half of one, by roofline, stands outside: 3 ms alone are 1.5 ms in here, against 1.5."""
    outside = record("outside", layer="net/one", roof_s=1.0)
    found = shares((*FUSION, outside), alone("net/one", 3e-3), alone("net/two", 1.5e-3))
    assert found["one"] == pytest.approx(4.0)


def test_layers_timed_as_one_piece_share_it_by_roofline() -> None:
    other = record("four", layer="other", parent="fusion", roof_s=4.0)
    timed = (alone("net", 6e-3, ("net/one", "net/two")), alone("other", 2e-3, ("other/x",)))
    found = shares((*FUSION, other), *timed)
    assert found["four"] == pytest.approx(2.0)
    assert found["two"] == pytest.approx(3.0)


def test_by_counts_without_a_device() -> None:
    records = (
        record("fusion", "fusion"),
        record("one", parent="fusion", flops=10),
        record("two", parent="fusion", flops=30),
    )
    assert shares(records) == {"one": 2.0, "two": 6.0}
    assert share_out(records, {"fusion": 8.0})[0].time_source == "split by counts"


def test_one_op_alone_in_a_fusion_was_measured() -> None:
    (share,) = share_out(FUSION[:3], {"fusion": 8.0})
    assert (share.name, share.time_s, share.time_source) == ("one", 8.0, "measured")


def test_a_call_that_ran_as_one_kernel_is_split_and_one_whose_ops_were_seen_is_not() -> None:
    call = (record("call", "call"), *(structs.replace(each, parent="call") for each in FUSION[1:]))
    found = {share.name: share.time_s for share in share_out(call, {"call": 8.0})}
    assert found == {"one": 2.0, "two": 4.0, "three": 2.0}
    found = {share.name: share.time_s for share in share_out(call, {"call": 1.0, "two": 7.0})}
    assert found == {"call": 1.0, "two": 7.0}


def test_a_loop_keeps_its_own_time_and_records_hold_what_is_inside() -> None:
    records = (
        record("loop", "while", layer="net"),
        record("fusion", "fusion", parent="loop"),
        record("one", layer="net/one", parent="fusion", roof_s=1.0),
        record("two", layer="net/two", parent="fusion", roof_s=3.0),
        record("idle", "tuple", parent="loop"),
        record("unseen", parent="loop", roof_s=0.5),
        record("choice", "conditional"),
        record("untaken", parent="choice", roof_s=7.0),
    )
    found = share_out(records, {"loop": 1.0, "fusion": 8.0, "choice": 0.25})
    timed = {one.name: (one.time_s, one.time_source) for one in with_traced_times(records, found)}
    assert timed == {
        "loop": (9.0, "measured"),
        "fusion": (8.0, "measured"),
        "one": (2.0, "split by roofline"),
        "two": (6.0, "split by roofline"),
        "idle": (0.0, "measured"),
        "unseen": (0.5, "estimated"),
        "choice": (0.25, "measured"),
        "untaken": (0.0, "measured"),
    }


SMALL_CNN = analyses.small_cnn().op_records
TOP = [op.name for op in SMALL_CNN if op.parent is None]
LAYERS = sorted({op.layer for op in SMALL_CNN if op.layer is not None})
seconds = st.floats(1e-9, 1e3)


@given(
    st.dictionaries(st.sampled_from(TOP), seconds),
    st.dictionaries(st.sampled_from(LAYERS), st.floats(0, 1e3)),
)
def test_the_shares_add_up_to_what_was_traced(
    self_s: dict[str, float], isolated: dict[str, float]
) -> None:
    found = share_out(SMALL_CNN, self_s, [alone(layer, time) for layer, time in isolated.items()])
    assert all(share.time_s >= 0 for share in found)
    assert math.isclose(sum(share.time_s for share in found), sum(self_s.values()), rel_tol=1e-12)
    children: dict[str, float] = {}
    for share in found:
        parent = next(op.parent for op in SMALL_CNN if op.name == share.name)
        if parent is not None:
            children[parent] = children.get(parent, 0.0) + share.time_s
    for name, total in children.items():
        assert math.isclose(total, self_s[name], rel_tol=1e-12)
    for timed in with_traced_times(SMALL_CNN, found):
        if timed.name in self_s:
            assert timed.time_s is not None
            assert math.isclose(timed.time_s, self_s[timed.name], rel_tol=1e-12)


def test_the_middle_half_of_the_calls_counts() -> None:
    """Of six calls the fastest and the slowest are set aside; b runs in between."""
    lengths = (10, 20, 30, 40, 90, 600)
    events = [op("a", 1000 * run, length, run) for run, length in enumerate(lengths)]
    events += [op("b", 1000 * run + length, 5, run) for run, length in enumerate(lengths)]
    nodes = flatten(STRAIGHT.module)
    traced = join_trace(host(main=events), STRAIGHT, nodes, 0)
    trace = traced.summary([record(node.name, node.instruction.opcode) for node in nodes])
    times = {timing.name: timing for timing in trace.timings}
    assert times["a"].self_s == pytest.approx((20 + 30 + 40 + 90) / 4 * 1e-9)
    assert times["b"].self_s == pytest.approx(5e-9)
    assert (times["a"].self_min_s, times["a"].self_max_s) == pytest.approx((10e-9, 600e-9))
    assert [run.counted for run in trace.runs] == [False, True, True, True, True, False]
    # The call in the middle is shown: the fourth by its length.
    shown = [(event.name, event.start_s, event.duration_s) for event in trace.events]
    assert [name for name, *_ in shown] == ["a", "b"]
    assert shown[0][1:] == pytest.approx((0.0, 40e-9))
    assert shown[1][1:] == pytest.approx((40e-9, 5e-9))
    assert trace.events_left_out == 0


def test_the_cost_of_an_event_leaves_the_untraced_time() -> None:
    """A loop of 100 small ops of 2 us and one op of 100 us, in a call half as long untraced."""
    spent = [Spent(200e-6, 100.0, 0.0), Spent(100e-6, 1.0, 0.0)]
    # What is left: (200 - 100 c) + (100 - c) = 150 us.
    assert event_cost(spent, kept=0.5) == pytest.approx(150e-6 / 101)
    assert event_cost(spent, kept=1.2) == 0
    assert event_cost([], kept=0.5) == 0


def test_an_op_keeps_its_least_and_an_event_costs_little() -> None:
    # Of 100 us the untraced call leaves 1; 3 us for each of 20 events is the most.
    assert event_cost([Spent(100e-6, 20.0, 0.0)], kept=0.01) == pytest.approx(3e-6)
    loop = Spent(1e-3, 1000.0, 0.8e-3)
    assert loop.left_s(0.1e-6) == pytest.approx(0.9e-3)
    assert loop.left_s(1e-6) == 0.8e-3
