"""One point: what does not fit is not run, and what is done is kept."""

from __future__ import annotations

import signal

import jax
import pytest

from edgegraph.studies.sweep.plan import Cell, make_plan
from edgegraph.studies.sweep.point import PartialSweep
from edgegraph.workload import Workload
from tests.studies.sweep.conftest import Stopwatch, Take, plan
from tests.studies.sweeps import point, sweep


def test_a_kept_file_that_was_cut_off_keeps_its_whole_lines() -> None:
    kept = PartialSweep({"a": 1})
    kept.add(sweep(point(1, 100.0)))
    kept.add(sweep(point(2, 190.0)))
    content = kept.path.read_bytes()
    kept.path.write_bytes(content[:-10])
    assert list(PartialSweep({"a": 1}).parts) == [Cell(1, None, "default")]


def test_a_line_that_was_cut_off_costs_no_other() -> None:
    kept = PartialSweep({"a": 1})
    kept.add(sweep(point(1, 100.0)))
    with kept.path.open("ab") as file:
        file.write(b'{"workload":"\xff')  # and there it was killed, or the disk was full
    PartialSweep({"a": 1}).add(sweep(point(2, 190.0)))
    assert [batch for batch, *_ in PartialSweep({"a": 1}).parts] == [1, 2]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarms")
def test_what_hangs_while_it_is_traced_becomes_a_row(take: Take) -> None:
    def workload() -> Workload:
        def function(x: jax.Array) -> jax.Array:
            while x.shape[0] == 2:
                pass
            return x + 1

        return Workload.from_function(
            function, lambda batch: (jax.ShapeDtypeStruct((batch, 4), "float32"),)
        )

    made = make_plan(workload, batches=[1, 2, 4], compile_limit_s=5)
    points = list(take(made, Stopwatch()))
    assert [point.error for point in points] == [
        None, "it took longer than 5 s, the time limit", None,
    ]  # fmt: skip


def test_what_does_not_fit_is_not_run(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.device.host.memory_bytes", lambda: 3000)
    measure = Stopwatch()
    points = list(take(plan(), measure))
    assert points[2].error is not None
    assert points[2].error.startswith("out of memory: it needs 3.")
    assert measure.batches == [1, 2]
