from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.results.analysis import LayerRecord, OpRecord
from edgegraph.results.roll_up import Parameters, roll_up
from edgegraph.results.timing import Latency, LayerLatency

COUNTS = ("ops", "macs", "flops", "transcendentals", "bytes_read", "bytes_written")
TIMES = ("compute_time_s", "memory_time_s")

BLANK = OpRecord(
    name="op", opcode="add", layer=None, phase="forward", parent=None, shape="f32[]",
    executions=1, macs=0, flops=0, transcendentals=0, bytes_read=0, bytes_written=0,
    wire_bytes=0, flops_lowest=None, roof="f32", level="L2", compute_time_s=0.0,
    memory_time_s=0.0, bound=None, time_s=0.0, time_source="estimated", source=None, op_name="",
)  # fmt: skip

layers = st.sampled_from([None, "Net", "Net/a", "Net/b", "Net/b/c", "Other", "loss"])
phases = st.sampled_from(["forward", "backward", "update"])
counts = st.integers(0, 10**12)
ops = st.lists(
    st.builds(
        lambda layer, phase, flops, read, written: replace(
            BLANK, layer=layer, phase=phase, flops=flops, bytes_read=read, bytes_written=written,
            compute_time_s=float(flops), memory_time_s=float(read + written),
        ),
        layers, phases, counts, counts, counts,
    ),
    max_size=30,
).map(lambda drawn: [replace(op, name=f"op{i}") for i, op in enumerate(drawn)])  # fmt: skip


def rows_below(rows: tuple[LayerRecord, ...], at: int) -> list[LayerRecord]:
    below = []
    for row in rows[at + 1 :]:
        if row.depth <= rows[at].depth:
            break
        if row.depth == rows[at].depth + 1:
            below.append(row)
    return below


@given(ops)
def test_everything_is_conserved(drawn: list[OpRecord]) -> None:
    rows = roll_up(drawn, {})
    whole = {"flops": sum(op.flops or 0 for op in drawn), "ops": len(drawn)}
    for chosen in ([r for r in rows if r.depth == 0], [r for r in rows if r.leaf]):
        assert sum(row.flops or 0 for row in chosen) == whole["flops"]
        assert sum(row.ops for row in chosen) == whole["ops"]
    for at, row in enumerate(rows):
        if not row.leaf:
            below = rows_below(rows, at)
            for column in COUNTS:
                assert getattr(row, column) == sum(getattr(child, column) for child in below)
            for column in TIMES:
                assert getattr(row, column) == pytest.approx(
                    sum(getattr(child, column) for child in below)
                )
            assert all(child.phase == row.phase for child in below)
            assert all(child.layer.startswith(row.layer + "/") for child in below)


def test_a_parent_with_ops_of_its_own_shows_them_in_a_row_of_their_own() -> None:
    drawn = [
        replace(BLANK, name="relu", layer="Net", flops=3),
        replace(BLANK, name="conv", layer="Net/conv", flops=5),
    ]
    rows = roll_up(drawn, {"Net/conv": Parameters(count=9, bytes=36)})
    assert [(r.layer, r.depth, r.leaf, r.flops, r.params) for r in rows] == [
        ("Net", 0, False, 8, 9),
        ("Net/conv", 1, True, 5, 9),
        ("Net/(own)", 1, True, 3, 0),
    ]


def test_containers_are_not_counted_beside_their_contents() -> None:
    drawn = [
        replace(BLANK, name="fusion", opcode="fusion", layer="Net", flops=5),
        replace(BLANK, name="inner", parent="fusion", layer="Net", flops=5),
    ]
    assert [row.flops for row in roll_up(drawn, {})] == [5]


def test_what_has_no_layer_stands_last() -> None:
    drawn = [replace(BLANK, name="a"), replace(BLANK, name="b", layer="Net")]
    assert [row.layer for row in roll_up(drawn, {})] == ["Net", UNATTRIBUTED]


def latency(median_s: float, dispatch_s: float) -> Latency:
    return Latency(
        median_s=median_s, p90_s=None, p99_s=None, min_s=median_s, mad_s=0.0, relative_iqr=0.0,
        drift=0.0, samples=10, outliers=0, stopped_by="stable", first_call_s=median_s,
        dispatch_s=dispatch_s, verdict="OK",
    )  # fmt: skip


def test_measured_times_count_without_the_dispatch_floor() -> None:
    drawn = [
        replace(BLANK, name="a", layer="Net/a", compute_time_s=3e-5, memory_time_s=1e-5),
        replace(BLANK, name="b", layer="Net/b", compute_time_s=1e-6, memory_time_s=2e-6),
    ]
    measured = [
        LayerLatency(layer="Net/a", phase="forward", latency=latency(70e-6, 10e-6)),
        LayerLatency(layer="Net/b", phase="forward", latency=latency(15e-6, 10e-6)),
    ]
    net, a, b = roll_up(drawn, {}, measured)
    assert a.time_s == pytest.approx(60e-6)
    assert a.efficiency == pytest.approx(0.5)
    assert a.bound == "compute"
    assert b.time_s == pytest.approx(5e-6)
    assert b.bound == "overhead"
    assert net.time_s == pytest.approx(65e-6)
    assert net.share == pytest.approx(1.0)
    assert (net.time_source, a.time_source) == ("measured", "measured")


@pytest.mark.parametrize(
    ("taken_s", "dispatch_s", "bound"),
    [
        (90e-6, 10e-6, "compute"),  # whatever took the time, 30 µs of arithmetic against 10 of data
        (90e-6, 50e-6, "overhead"),
    ],
)
def test_a_parent_is_bound_by_its_largest_roof_unless_launching_takes_most(
    taken_s: float, dispatch_s: float, bound: str
) -> None:
    drawn = [
        replace(BLANK, name="a", layer="Net/a", compute_time_s=3e-5),
        replace(BLANK, name="b", layer="Net/b", memory_time_s=1e-5),
    ]
    measured = [
        LayerLatency(layer="Net/b", phase="forward", latency=latency(taken_s, dispatch_s)),
    ]
    assert roll_up(drawn, {})[0].bound == "compute"
    assert roll_up(drawn, {}, measured)[0].bound == bound


def test_a_small_layer_that_is_launched_binds_no_whole() -> None:
    drawn = [replace(BLANK, name=one, layer=f"Net/{one}", compute_time_s=None) for one in "ab"]
    measured = [
        LayerLatency(layer="Net/a", phase="forward", latency=latency(90e-6, 10e-6)),
        LayerLatency(layer="Net/b", phase="forward", latency=latency(11e-6, 10e-6)),
    ]
    assert [row.bound for row in roll_up(drawn, {}, measured)] == [None, None, "overhead"]


def test_without_a_measurement_the_roofline_is_the_estimate() -> None:
    drawn = [replace(BLANK, layer="Net", compute_time_s=3e-5, memory_time_s=1e-5)]
    (row,) = roll_up(drawn, {})
    assert (row.time_s, row.time_source, row.efficiency) == (3e-5, "estimated", None)


def test_without_a_device_times_are_unknown() -> None:
    drawn = [replace(BLANK, layer="Net", compute_time_s=None, memory_time_s=None, flops=7)]
    (row,) = roll_up(drawn, {})
    assert (row.time_s, row.time_source, row.bound, row.share) == (None, None, None, None)


def test_the_time_of_a_loop_is_split_among_the_layers_inside_it() -> None:
    drawn = [
        replace(BLANK, name="own", layer="Net", compute_time_s=1e-6),
        replace(BLANK, name="a", layer="Net/a", compute_time_s=3e-6),
        replace(BLANK, name="b", layer="Net/b", compute_time_s=4e-6),
    ]
    measured = [
        LayerLatency(
            layer="Net", phase="forward", latency=latency(90e-6, 10e-6), covers=("Net/a", "Net/b")
        )
    ]
    net, a, b, own = roll_up(drawn, {}, measured)
    assert [row.time_s for row in (a, b, own)] == pytest.approx([30e-6, 40e-6, 10e-6])
    assert {row.time_source for row in (a, b, own)} == {"estimated"}
    assert net.time_s == pytest.approx(80e-6)
    assert net.time_source == "measured"
    assert net.efficiency == pytest.approx(8e-6 / 80e-6)


def test_the_time_of_layers_in_a_loop_counts_as_often_as_they_run() -> None:
    drawn = [
        replace(BLANK, name="a", layer="Net/a", compute_time_s=3e-6),
        replace(BLANK, name="b", layer="Net/b", compute_time_s=4e-6),
    ]
    twice = latency(30e-6, 10e-6)
    measured = [
        LayerLatency(
            layer="Net/a", phase="forward", latency=twice, executions=12, within="scan of 12"
        ),
        LayerLatency(layer="Net/a", phase="forward", latency=twice),
        LayerLatency(layer="Net/b", phase="forward", latency=twice),
    ]
    net, a, b = roll_up(drawn, {}, measured)
    assert [row.time_s for row in (net, a, b)] == pytest.approx([280e-6, 260e-6, 20e-6])
    assert {row.time_source for row in (net, a, b)} == {"measured"}


def test_of_several_cuts_the_finest_gives_the_times() -> None:
    drawn = [replace(BLANK, name="a", layer="Net/a", compute_time_s=3e-6)]
    measured = [
        LayerLatency(layer="Net", phase="forward", latency=latency(90e-6, 10e-6), depth=0,
                     covers=("Net/a",)),
        LayerLatency(layer="Net/a", phase="forward", latency=latency(30e-6, 10e-6), depth=1),
    ]  # fmt: skip
    assert [row.time_s for row in roll_up(drawn, {}, measured)] == pytest.approx([20e-6] * 2)
    assert [row.time_s for row in roll_up(drawn, {}, measured[:1])] == pytest.approx([80e-6] * 2)


def test_the_working_set_of_a_layer_is_the_largest_of_its_ops() -> None:
    drawn = [
        replace(BLANK, name="a", layer="Net/a", working_set_bytes=30),
        replace(BLANK, name="b", layer="Net/a", working_set_bytes=50),
        replace(BLANK, name="c", layer="Net/b", working_set_bytes=None),
    ]
    net, a, b = roll_up(drawn, {"Net/b": Parameters(count=1, bytes=4)})
    assert [row.working_set_bytes for row in (net, a, b)] == [50, 50, None]
