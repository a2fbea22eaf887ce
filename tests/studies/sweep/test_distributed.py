"""200 points over four Dask workers: what dies on the way costs no row and makes none twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.errors import InputError
from edgegraph.studies.sweep.run import choose_run, dask_executor, take_all
from tests.studies.driver import kill_at_point, plans

distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Dask's are its own affair


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=4, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def test_killed_workers_and_a_killed_sweep_lose_nothing(scheduler: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    kill_at_point(20, path, 100, scheduler)
    with eg.open_store(path) as store:
        assert len(store.find()) == 20
    continued: list[int] = []
    with (
        eg.open_store(path) as store,
        dask_executor(scheduler) as executor,
        distributed.Client(scheduler, set_as_default=False) as client,
    ):
        taken = take_all(
            plans(100), run=choose_run(executor), store=store, on_continue=continued.append
        )
        for count, _ in enumerate(taken, 1):
            if count == 50:
                victim = next(iter(client.run(os.getpid).values()))
                os.kill(victim, signal.SIGKILL)
        runs = store.find()
    assert continued == [20]
    wanted = {(batch, dtype) for batch in range(1, 101) for dtype in ("float32", "bfloat16")}
    assert Counter((run.batch, run.dtype) for run in runs) == Counter(wanted)
    assert all(run.error is None for run in runs)


def test_the_command_hands_points_to_dask(scheduler: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    command = ["sweep", "tests.studies.tiny:tiny", "tests.studies.tiny:tiny_too", "--no-measure"]
    assert main([*command, "--batches", "1,2", "--dask", scheduler, "--store", str(path)]) == 0
    with eg.open_store(path) as store:
        found = {(run.workload, run.batch): run.metrics["bytes"] for run in store.find()}
    assert found == {("tiny", 1): 32, ("tiny", 2): 64, ("tiny_too", 1): 32, ("tiny_too", 2): 64}


def test_two_axes_go_to_dask(scheduler: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    command = ["sweep", "models.transformer:transformer_decode", "--no-measure", "--set", "width=8"]
    more = ["--set", "heads=2", "--set", "depth=1", "--vary", "length=4,8", "--vary", "batch=1,2"]
    assert main([*command, *more, "--dask", scheduler, "--store", str(path)]) == 0
    with eg.open_store(path) as store:
        found = {(run.workload, run.batch) for run in store.find()}
    assert found == {
        (f"transformer_decode(length={length})", batch) for length in (4, 8) for batch in (1, 2)
    }


def test_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.studies.sweep.run._CONNECT_S", 1)
    with (
        pytest.raises(InputError, match="no Dask scheduler at"),
        dask_executor("tcp://127.0.0.1:9"),
    ):
        pass
