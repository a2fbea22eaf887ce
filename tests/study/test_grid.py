"""Many sweeps by many processes; nothing here times anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.study.grid import plan_all, results, sweep_all, take_all
from edgegraph.study.pool import run_in_processes, run_on
from tests.study.grids import deadly, square, tiny


def test_tasks_of_a_process_that_dies_are_done_again(tmp_path: Path) -> None:
    tasks = [(number, str(tmp_path)) for number in range(8)]
    found = {task[0]: answer for task, answer in run_in_processes(2, deadly, tasks)}
    assert len(found) == 8
    assert "died twice" in str(found.pop(3))
    assert found == {number: number * number for number in (0, 1, 2, 4, 5, 6, 7)}


def test_any_executor_takes_tasks() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert dict(run_on(executor, square, [1, 2, 3])) == {1: 1, 2: 4, 3: 9}


def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(InputError, match="cannot be sent to another process"):
        list(run_in_processes(1, lambda task: task, [1]))


def test_an_interrupted_grid_goes_on_from_the_store(tmp_path: Path) -> None:
    jobs = plan_all([tiny], targets=["cpu"], batches=[1, 2, 3], dtypes=["float32", "bfloat16"],
                    measure=False)  # fmt: skip
    with eg.open_store(tmp_path / "runs.db") as store, ThreadPoolExecutor(1) as executor:
        first = take_all(jobs, store=store, executor=executor)
        next(first)
        first.close()
        continued: list[int] = []
        taken = list(take_all(jobs, store=store, executor=executor, on_continue=continued.append))
        assert continued == [1]
        (made,) = results(jobs, taken)
        assert [(p.dtype, p.batch) for p in made.points] == [
            (dtype, batch) for dtype in ("float32", "bfloat16") for batch in (1, 2, 3)
        ]
        assert all(p.error is None and p.latency is None and p.fingerprint for p in made.points)
        assert len(store.find(workload="tiny")) == 6
        # It was finished, so the same once more is a new sweep.
        sweep_all([tiny], batches=[1], measure=False, store=store, executor=executor)
        assert len(store.find(workload="tiny", batch=1)) == 3


def test_several_workloads_and_processes() -> None:
    first, second = sweep_all([tiny, tiny], batches=[1, 2], measure=False, workers=2)
    assert [p.batch for p in first.points] == [p.batch for p in second.points] == [1, 2]
    # A sine for each of 4 numbers at batch 1; nothing that counts as a FLOP.
    assert [p.bytes for p in first.points] == [32, 64]
