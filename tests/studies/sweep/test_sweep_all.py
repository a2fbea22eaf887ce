"""Several sweeps at once, by whatever takes their points; nothing here times anything."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.sweep.plan import make_plans
from edgegraph.studies.sweep.run import choose_run, take_all
from tests.studies.driver import kill_at_point, plans
from tests.studies.sweep.conftest import scores
from tests.studies.tiny import tiny

DTYPES = ("float32", "bfloat16")


@pytest.fixture
def executor() -> Executor:
    return ThreadPoolExecutor(1)


def test_an_interrupted_sweep_goes_on_from_the_store(tmp_path: Path, executor: Executor) -> None:
    both = make_plans([tiny], targets=["cpu"], batches=[1, 2, 3], dtypes=DTYPES, measure=False)
    with eg.open_store(tmp_path / "runs.db") as store:
        first = take_all(both, store=store)
        next(iter(first))
        del first  # as where it is interrupted
        continued: list[int] = []
        taken = take_all(both, run=choose_run(executor), store=store, on_continue=continued.append)
        made = both[0].result([part for _, part in taken])
        assert continued == [1]
        assert [(p.dtype, p.batch) for p in made.points] == [
            (dtype, batch) for dtype in DTYPES for batch in (1, 2, 3)
        ]
        assert all(p.error is None and p.latency is None and p.fingerprint for p in made.points)
        assert len(store.find(workload="tiny")) == 6
        # It was finished, so the same once more is a new sweep.
        eg.sweep(tiny, batches=[1], measure=False, store=store, executor=executor)
        assert len(store.find(workload="tiny", batch=1)) == 3


def test_two_axes_go_to_an_executor_and_into_the_store(tmp_path: Path, executor: Executor) -> None:
    sizes = {"batch": [1, 2], "length": [2, 4]}
    with eg.open_store(tmp_path / "runs.db") as store:
        made = eg.sweep(scores(), vary=sizes, measure=False, store=store, executor=executor)
        runs = store.find()
        assert {(run.workload, run.batch, run.metrics["flops"]) for run in runs} == {
            ("scores(length=2)", 1, 16), ("scores(length=2)", 2, 32),
            ("scores(length=4)", 1, 32), ("scores(length=4)", 2, 64),
        }  # fmt: skip
        assert store.sweep(1).points == made.points
        assert store.sweep(1).axes == {"length": (2, 4)}


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    kill_at_point(3, path, 4)
    continued: list[int] = []
    with eg.open_store(path) as store:
        taken = list(take_all(plans(4), store=store, on_continue=continued.append))
        cells = [(run.batch, run.dtype) for run in store.find()]
    assert continued == [3]
    assert len(taken) == 8
    assert sorted(cells) == sorted((batch, dtype) for batch in (1, 2, 3, 4) for dtype in DTYPES)


def test_several_workloads_targets_and_processes() -> None:
    cpu, pi, *others = eg.sweep_all(
        [tiny, tiny], targets=["cpu", "device:rpi5"], batches=[1, 2], measure=False, workers=2
    )
    assert [(made.target, len(made.points)) for made in others] == [("cpu", 2), ("device:rpi5", 2)]
    # A sine for each of 4 numbers at batch 1: 16 bytes read, 16 written.
    assert [p.bytes for p in cpu.points] == [p.bytes for p in pi.points] == [32, 64]
    # A Raspberry Pi 5 reads from memory or cache at no more than a few hundred GB/s.
    assert pi.device is not None
    assert all(p.memory_time_s is not None and p.memory_time_s > 64e-12 for p in pi.points)


def test_a_workload_of_its_own_stays_in_this_process() -> None:
    workload = eg.Workload.from_function(
        lambda x: jnp.cos(x), lambda batch: (jnp.ones(batch),), name="cosine"
    )
    with pytest.raises(InputError, match="cannot be sent to another process"):
        eg.sweep_all([workload], batches=[1], measure=False, workers=1)
    (made,) = eg.sweep_all([workload], batches=[1], measure=False, workers=0)
    assert made.points[0].bytes == 8


def test_nothing_to_sweep_is_told() -> None:
    with pytest.raises(InputError, match="there is nothing to sweep"):
        eg.sweep_all([])
