"""Tasks in other processes: those of one that dies are done again, and nothing is lost."""

from __future__ import annotations

from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.studies.sweep.pool import dask_executor, run_in_processes, run_on
from tests.studies.tasks import deadly, square


def test_tasks_of_a_process_that_dies_are_done_again(tmp_path: Path) -> None:
    found = dict(run_in_processes(2, deadly, [(number, str(tmp_path)) for number in range(8)]))
    assert len(found) == 8
    assert "died twice" in str(found.pop(3))
    assert found == {number: number * number for number in (0, 1, 2, 4, 5, 6, 7)}


def test_any_executor_takes_tasks() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert dict(run_on(executor, square, [1, 2, 3])) == {0: 1, 1: 4, 2: 9}


def test_an_executor_that_breaks_down_is_told() -> None:
    class Lost(Executor):
        """As Dask's is when its scheduler goes away."""

        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(CancelledError("lost"))
            return future

    with pytest.raises(EdgeGraphError, match=r"has broken down .*the same call continues"):
        list(run_on(Lost(), square, [1]))


def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(InputError, match="cannot be sent to another process"):
        list(run_in_processes(1, lambda task: task, [1]))


def test_dask_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with (
        pytest.raises(InputError, match=r"pip install 'edgegraph\[distributed\]'"),
        dask_executor("tcp://127.0.0.1:9"),
    ):
        pass
