from __future__ import annotations

import pytest

from edgegraph.results.schedule import EXPOSED, Schedule, Transfer


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
