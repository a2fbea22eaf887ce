"""Sweeps with a measurement that is made up: no test here times anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.results.timing import Latency, Throughput
from edgegraph.studies.sweep.plan import Plan, make_plan
from edgegraph.studies.sweep.result import SweepPoint
from edgegraph.studies.sweep.run import take_all
from edgegraph.workload import Workload
from tests import analyses
from tests.studies.sweeps import throughput

Measured = tuple[Latency, tuple[Throughput, ...]]


Take = Callable[..., Iterator[SweepPoint]]


class Stopwatch:
    """Measures 1 ms and 1000 samples/s of everything; notes which batches it was asked for."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.stop_at = stop_at

    def __call__(self, program: Any, plan: Plan, report: Any) -> Measured:
        assert program.batch is not None
        if program.batch == self.stop_at:
            raise KeyboardInterrupt
        self.batches.append(program.batch)
        return analyses.latency(1e-3), (throughput(program.batch, 1000.0),)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))


def dense(dtype: str = "float32", most: int = 1 << 30) -> Workload:
    """Return a dense layer, 64 to 8, that refuses batches beyond `most`."""

    def arguments(batch: int) -> tuple[Any, ...]:
        if batch > most:
            raise ValueError(f"no more than {most}\nat once")
        return jax.ShapeDtypeStruct((batch, 64), dtype), jax.ShapeDtypeStruct((64, 8), dtype)

    return Workload.from_function(jnp.matmul, arguments, name="dense")


def scores() -> Workload:
    """Return products of queries of each of the batch with as many keys as the length says."""

    def arguments(batch: int, length: int = 8) -> tuple[Any, ...]:
        shapes = ((batch, 4), (length, 4))
        return tuple(jax.ShapeDtypeStruct(shape, "float32") for shape in shapes)

    return Workload.from_function(lambda q, k: q @ k.T, arguments, name="scores")


def plan(subject: Any = None, **settings: Any) -> Plan:
    given: dict[str, Any] = {"batches": [1, 2, 4], "device": analyses.DEVICE, **settings}
    return make_plan(subject or dense(), **given)


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Take:
    """Take the points of a plan one by one, with a measurement that is made up."""

    def points(what: Plan, measure: Any, fresh: bool = False) -> Iterator[SweepPoint]:
        monkeypatch.setattr("edgegraph.studies.sweep.point.measure_point", measure)
        for _, part in take_all([what], fresh=fresh):
            yield from part.points

    return points
