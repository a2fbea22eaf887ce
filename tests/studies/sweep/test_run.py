"""Sweeps with a measurement that is made up: no test here times anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.results.timing import Latency, Throughput
from edgegraph.studies.sweep.plan import MixedMachinesWarning, Plan, make_plan
from edgegraph.studies.sweep.point import PartialSweep
from edgegraph.studies.sweep.result import SweepPoint
from edgegraph.studies.sweep.run import take_all
from edgegraph.workload import Workload
from tests import analyses
from tests.studies.sweeps import point, sweep, throughput

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
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    return


def dense(dtype: str = "float32", most: int = 1 << 30) -> Workload:
    """Return a dense layer, 64 to 8, that refuses batches beyond `most`."""

    def arguments(batch: int) -> tuple[Any, ...]:
        if batch > most:
            raise ValueError(f"no more than {most}\nat once")
        return jax.ShapeDtypeStruct((batch, 64), dtype), jax.ShapeDtypeStruct((64, 8), dtype)

    return Workload.from_function(jnp.matmul, arguments, name="dense")


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


def test_every_batch_is_predicted_and_measured(take: Take) -> None:
    what = plan(batches=[4, 1, 2, 2], max_latency_s=0.01)
    result = what.result([what.part(found) for found in take(what, Stopwatch())])
    assert [found.batch for found in result.points] == [1, 2, 4]
    last = result.points[-1]
    # 4x64 times 64x8: 2 * 4 * 64 * 8 FLOPs under 100 GFLOP/s; its bytes fit into L2, 100 GB/s.
    assert last.flops == 4096
    assert last.compute_time_s == pytest.approx(4096 / 100e9)
    assert last.bytes == 4 * (4 * 64 + 64 * 8 + 4 * 8)
    assert last.memory_time_s == pytest.approx(3200 / 100e9)
    assert last.peak_memory_bytes is not None
    assert last.peak_memory_bytes >= 3200
    assert (last.latency_s, last.throughput_per_s, last.verdict) == (1e-3, 1000.0, "OK")
    assert result.workload == "dense"
    assert result.max_latency_s == 0.01


def test_a_batch_that_fails_becomes_a_row_and_the_rest_goes_on(take: Take) -> None:
    measure = Stopwatch()

    def failing(program: Any, *rest: Any) -> Measured:
        if program.batch == 2:
            raise EdgeGraphError("the process was killed by SIGKILL")
        return measure(program, *rest)

    first, second, third = take(plan(), failing)
    assert (first.error, third.error) == (None, None)
    assert second.error == "the process was killed by SIGKILL"
    assert second.latency is None
    assert second.flops == 2048  # what was found out before stays


def test_the_workloads_own_errors_are_rows_of_one_line(take: Take) -> None:
    points = list(take(plan(dense(most=2)), Stopwatch()))
    assert [found.error is None for found in points] == [True, True, False]
    assert points[2].error is not None
    assert "no more than 2" in points[2].error
    assert "\n" not in points[2].error


def test_what_does_not_fit_is_not_run(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.device.host.memory_bytes", lambda: 3000)
    measure = Stopwatch()
    points = list(take(plan(), measure))
    assert points[2].error is not None
    assert points[2].error.startswith("out of memory: it needs 3.")
    assert measure.batches == [1, 2]


def test_a_rerun_continues_where_it_was_interrupted(take: Take) -> None:
    first, second = Stopwatch(stop_at=4), Stopwatch()
    taken = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # what was yielded before counts
        for found in take(plan(), first):
            taken.append(found)  # noqa: PERF402
    assert [found.batch for found in taken] == [1, 2]
    again = list(take(plan(), second))
    assert again[:2] == taken
    assert second.batches == [4]


def test_more_batches_may_be_asked_for_when_it_continues(take: Take) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(take(plan(), Stopwatch(stop_at=4)))
    second = Stopwatch()
    list(take(plan(batches=[1, 2, 4, 8]), second))
    assert second.batches == [4, 8]


@pytest.mark.parametrize(
    "change",
    [
        {"subject": dense("bfloat16")},
        {"options": {"xla_cpu_enable_fast_math": True}},
        {"queue_depths": [1]},
        {"device": None},
    ],
)
def test_another_question_starts_anew(take: Take, change: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(take(plan(), Stopwatch(stop_at=4)))
    second = Stopwatch()
    list(take(plan(**change), second))
    assert second.batches == [1, 2, 4]


def test_fresh_and_finished_sweeps_start_anew(take: Take) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(take(plan(), Stopwatch(stop_at=4)))
    fresh, third = Stopwatch(), Stopwatch()
    list(take(plan(), fresh, fresh=True))
    list(take(plan(), third))
    assert fresh.batches == third.batches == [1, 2, 4]


def test_a_kept_file_that_was_cut_off_keeps_its_whole_lines() -> None:
    kept = PartialSweep({"a": 1})
    kept.add(sweep(point(1, 100.0)))
    kept.add(sweep(point(2, 190.0)))
    content = kept.path.read_bytes()
    kept.path.write_bytes(content[:-10])
    assert list(PartialSweep({"a": 1}).parts) == [(1, None, "default")]


def test_dtypes_and_options_make_curves(take: Take) -> None:
    what = plan(
        dense,
        batches=[1, 2],
        dtypes=["float32", "bfloat16"],
        option_sets={"plain": {"xla_cpu_experimental_ynn_fusion_type": ""}},
    )
    measure = Stopwatch()
    result = what.result([what.part(found) for found in take(what, measure)])
    assert list(result.series) == [
        ("float32", "default"),
        ("float32", "plain"),
        ("bfloat16", "default"),
        ("bfloat16", "plain"),
    ]
    assert measure.batches == [1, 2] * 4
    assert all(found.error is None for found in result.points)


def test_points_of_different_machines_are_told() -> None:
    here, there = sweep(point(1, 100.0)), sweep(point(2, 190.0))
    there = replace(there, environment=replace(there.environment, processor="another"))
    with pytest.warns(MixedMachinesWarning, match="dense: .* machines that differ .*another"):
        made = make_plan(dense(), batches=[1, 2]).result([there, here])
    assert [found.batch for found in made.points] == [1, 2]


def test_an_option_that_xla_does_not_know_fails_in_its_rows(take: Take) -> None:
    points = take(plan(batches=[1], option_sets={"odd": {"xla_no_such_option": 1}}), Stopwatch())
    good, bad = points
    assert good.error is None
    assert bad.error is not None
    assert "xla_no_such_option" in bad.error


@pytest.mark.parametrize(
    ("subject", "settings", "message"),
    [
        (None, {"batches": []}, "no batch size was given"),
        (None, {"batches": [0]}, "batch must be a positive integer, not 0"),
        (None, {"batches": [True]}, "batch must be a positive integer, not True"),
        (None, {"max_latency_s": 0.0}, "the latency budget must be positive, not 0.0 s"),
        (None, {"option_sets": {"default": {}}}, "choose another label"),
        (None, {"dtypes": ["float32"]}, "has its dtype already"),
        (7, {}, "cannot sweep 7; expected a Workload, or a function that returns one"),
        (lambda: 7, {}, "it returns 7, not a Workload"),
        (dense, {"dtypes": []}, "no dtype was given"),
        (lambda: dense(), {"dtypes": ["float32"]}, "cannot make a workload with dtype='float32'"),
    ],
)
def test_bad_input_is_refused(subject: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(subject, **settings)
