"""Sweeps with a measurement that is made up: no test here times anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.results.latency import Latency
from edgegraph.results.throughput import Throughput
from edgegraph.study import sweep as study
from edgegraph.study.partial import PartialSweep
from edgegraph.workload import Workload
from tests import analyses
from tests.study.sweeps import point, throughput
from tests.study.sweeps import sweep as whole

Measured = tuple[Latency, tuple[Throughput, ...]]


class Stopwatch:
    """Measures 1 ms and 1000 samples/s of everything; notes which batches it was asked for."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.stop_at = stop_at

    def __call__(self, program: Any, plan: study.Plan, report: Any) -> Measured:
        assert program.batch is not None
        if program.batch == self.stop_at:
            raise KeyboardInterrupt
        self.batches.append(program.batch)
        return analyses.latency(1e-3), (throughput(program.batch, 1000.0),)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    yield


def dense(dtype: str = "float32", most: int = 1 << 30) -> Workload:
    """Give a dense layer, 64 to 8, that refuses batches beyond `most`."""

    def arguments(batch: int) -> tuple[Any, ...]:
        if batch > most:
            raise ValueError(f"no more than {most}\nat once")
        return jax.ShapeDtypeStruct((batch, 64), dtype), jax.ShapeDtypeStruct((64, 8), dtype)

    return Workload.from_function(jnp.matmul, arguments, name="dense")


def plan(subject: Any = None, **settings: Any) -> study.Plan:
    given: dict[str, Any] = {"batches": [1, 2, 4], "device": analyses.DEVICE, **settings}
    return study.make_plan(subject or dense(), **given)


def test_every_batch_is_predicted_and_measured() -> None:
    what = plan(batches=[4, 1, 2, 2], max_latency_s=0.01)
    result = what.result(list(study.take_points(what, measure=Stopwatch())))
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


def test_a_batch_that_fails_becomes_a_row_and_the_rest_goes_on() -> None:
    measure = Stopwatch()

    def failing(program: Any, *rest: Any) -> Measured:
        if program.batch == 2:
            raise EdgeGraphError("the process was killed by SIGKILL")
        return measure(program, *rest)

    first, second, third = study.take_points(plan(), measure=failing)
    assert (first.error, third.error) == (None, None)
    assert second.error == "the process was killed by SIGKILL"
    assert second.latency is None
    assert second.flops == 2048  # what was found out before stays


def test_the_workloads_own_errors_are_rows_of_one_line() -> None:
    points = list(study.take_points(plan(dense(most=2)), measure=Stopwatch()))
    assert [found.error is None for found in points] == [True, True, False]
    assert points[2].error is not None
    assert "no more than 2" in points[2].error
    assert "\n" not in points[2].error


def test_what_does_not_fit_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.device.host.memory_bytes", lambda: 3000)
    measure = Stopwatch()
    points = list(study.take_points(plan(), measure=measure))
    assert points[2].error is not None
    assert points[2].error.startswith("out of memory: it needs 3.")
    assert measure.batches == [1, 2]


def test_a_rerun_continues_where_it_was_interrupted() -> None:
    first, second = Stopwatch(stop_at=4), Stopwatch()
    taken = []
    with pytest.raises(KeyboardInterrupt):
        for found in study.take_points(plan(), measure=first):
            taken.append(found)  # noqa: PERF402  # what was yielded before counts
    assert [found.batch for found in taken] == [1, 2]
    again = list(study.take_points(plan(), measure=second))
    assert again[:2] == taken
    assert second.batches == [4]


def test_more_batches_may_be_asked_for_when_it_continues() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(study.take_points(plan(), measure=Stopwatch(stop_at=4)))
    second = Stopwatch()
    list(study.take_points(plan(batches=[1, 2, 4, 8]), measure=second))
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
def test_another_question_starts_anew(change: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(study.take_points(plan(), measure=Stopwatch(stop_at=4)))
    second = Stopwatch()
    list(study.take_points(plan(**change), measure=second))
    assert second.batches == [1, 2, 4]


def test_fresh_and_finished_sweeps_start_anew() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(study.take_points(plan(), measure=Stopwatch(stop_at=4)))
    fresh, third = Stopwatch(), Stopwatch()
    list(study.take_points(plan(), fresh=True, measure=fresh))
    list(study.take_points(plan(), measure=third))
    assert fresh.batches == third.batches == [1, 2, 4]


def test_a_kept_file_that_was_cut_off_keeps_its_whole_lines() -> None:
    kept = PartialSweep({"a": 1})
    kept.add(whole(point(1, 100.0)))
    kept.add(whole(point(2, 190.0)))
    content = kept.path.read_bytes()
    kept.path.write_bytes(content[:-10])
    assert list(PartialSweep({"a": 1}).points) == [(1, None, "default")]


def test_dtypes_and_options_make_curves() -> None:
    what = plan(
        dense,
        batches=[1, 2],
        dtypes=["float32", "bfloat16"],
        option_sets={"plain": {"xla_cpu_experimental_ynn_fusion_type": ""}},
    )
    measure = Stopwatch()
    result = what.result(list(study.take_points(what, measure=measure)))
    assert list(result.series) == [
        ("float32", "default"),
        ("float32", "plain"),
        ("bfloat16", "default"),
        ("bfloat16", "plain"),
    ]
    assert measure.batches == [1, 2] * 4
    assert all(found.error is None for found in result.points)


def test_an_option_that_xla_does_not_know_fails_in_its_rows() -> None:
    points = study.take_points(
        plan(batches=[1], option_sets={"odd": {"xla_no_such_option": 1}}), measure=Stopwatch()
    )
    good, bad = points
    assert good.error is None
    assert bad.error is not None
    assert "xla_no_such_option" in bad.error


@pytest.mark.parametrize(
    ("subject", "settings", "message"),
    [
        (None, {"batches": []}, "no batch size was given"),
        (None, {"batches": [0]}, "batch 0 is not a batch size"),
        (None, {"batches": [True]}, "batch True is not a batch size"),
        (None, {"max_latency_s": 0.0}, "a latency budget of 0.0 s is none"),
        (None, {"option_sets": {"default": {}}}, "choose another label"),
        (None, {"dtypes": ["float32"]}, "has its dtype already"),
        (dense, {}, "give a Workload, or a function and dtypes="),
        (dense, {"dtypes": []}, "no dtype was given"),
        (lambda: dense(), {"dtypes": ["float32"]}, "cannot make a workload with dtype='float32'"),
    ],
)
def test_bad_input_is_refused(subject: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(subject, **settings)
