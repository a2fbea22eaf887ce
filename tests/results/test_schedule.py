from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import edgegraph as eg
from edgegraph.results.schedule import EXPOSED, LiveBuffer, LiveMemory, Schedule, Transfer
from tests import analyses


def transfer(duration_s: float | None, exposed_s: float | None, executions: int | None) -> Transfer:
    return Transfer(
        start="copy-start", done="copy-done", opcode="copy-start", lane="copy", layer=None,
        executions=executions, bytes=8, duration_s=duration_s, compute_s=0.0, between=0,
        exposed_s=exposed_s, verdict=EXPOSED,
    )  # fmt: skip


def schedule(*transfers: Transfer, critical_path_s: float = 2.0) -> Schedule:
    return Schedule(
        ops=(), transfers=transfers, makespan_s=4.0, compute_s=3.0,
        critical_path_s=critical_path_s, untimed=0, time_source="estimated",
    )  # fmt: skip


def test_transfers_count_as_often_as_they_run() -> None:
    found = schedule(transfer(0.5, 0.25, 4), transfer(1.0, None, None), transfer(None, None, 2))
    assert found.transfer_s == 3.0  # 4 x 0.5 + 1
    assert found.exposed_s == 1.0  # 4 x 0.25


def test_parallelism_is_work_over_the_critical_path() -> None:
    assert schedule().parallelism == 1.5
    assert schedule(critical_path_s=0.0).parallelism is None


def test_the_frame_has_a_row_for_each_transfer() -> None:
    frame = schedule(transfer(0.5, 0.25, 4), transfer(None, None, None)).frame
    assert frame["duration_s"].tolist()[0] == 0.5
    assert frame["executions"].isna().tolist() == [False, True]
    assert len(frame) == 2
    assert frame["exposed_s"].sum() == pytest.approx(0.25)


MEMORY = LiveMemory(
    ops=("x", "hidden", "out"),
    alive_bytes=(30, 90, 60),
    peak_position=1,
    peak_op="loop/dot",
    peak_buffers=(
        LiveBuffer(name="hidden", layer="Net/dense", bytes=60, kind="activation"),
        LiveBuffer(name="w", layer="Net/dense", bytes=20, kind="weights"),
        LiveBuffer(name="x", layer=None, bytes=10, kind="argument"),
    ),
    temp_bytes=64,
    output_bytes=8,
)


def test_figures() -> None:
    assert MEMORY.peak_bytes == 90
    assert MEMORY.peak_by_kind == {"activation": 60, "weights": 20, "argument": 10}
    assert (MEMORY.held_bytes, MEMORY.working_bytes, MEMORY.allocated_bytes) == (30, 60, 72)


def test_frame() -> None:
    assert MEMORY.frame.to_dict("list") == {
        "position": [0, 1, 2], "op": ["x", "hidden", "out"], "alive_bytes": [30, 90, 60]
    }  # fmt: skip


@pytest.mark.parametrize("position", [-1, 3])
def test_peak_outside_the_program_is_refused(position: int) -> None:
    data = msgspec.to_builtins(replace(MEMORY))
    with pytest.raises(msgspec.ValidationError, match="peak at position"):
        msgspec.convert({**data, "peak_position": position}, LiveMemory)


def test_analysis_tells_weights_from_activations(tmp_path: Path) -> None:
    analysis = analyses.small_cnn(batch=8)
    memory = analysis.live_memory
    assert memory is not None
    assert analysis.memory is not None
    assert memory.peak_by_kind["weights"] == analysis.totals["param_bytes"]
    assert memory.peak_bytes == sum(buffer.bytes for buffer in memory.peak_buffers)
    assert memory.allocated_bytes == analysis.memory.temp_bytes + analysis.memory.output_bytes
    assert set(memory.ops) == {r.name for r in analysis.op_records if r.parent is None}
    assert eg.load(analysis.save(tmp_path / "a.edgegraph")).live_memory == memory


def test_what_is_long_is_left_out_of_what_is_printed() -> None:
    live = LiveMemory(
        ops=("an_op",) * 9, alive_bytes=(8,) * 9, peak_position=0, peak_op="one", peak_buffers=(),
        temp_bytes=0, output_bytes=8,
    )  # fmt: skip
    assert "an_op" not in repr(live)
    assert "peak_op='one'" in repr(live)
