"""Sweeps with a measurement that is made up; after an interruption they continue."""

from __future__ import annotations

from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.studies.sweep.run import dask_executor, run_in_processes, run_on
from tests.studies.sweep.conftest import Measured, Stopwatch, Take, dense, plan, scores
from tests.studies.tasks import deadly, square


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


def test_two_axes_are_swept_and_continued(take: Take) -> None:
    vary = {"batch": [1, 2], "length": [4, 8, 16]}
    what = plan(scores(), batches=None, vary=vary)
    measure = Stopwatch(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        list(take(what, measure))
    second = Stopwatch()
    result = what.result([what.part(found) for found in take(what, second)])
    assert (measure.batches, second.batches) == ([1], [2, 1, 2, 1, 2])
    frame = result.frame
    assert list(frame.columns[:3]) == ["batch", "length", "latency_s"]
    assert list(frame["length"]) == [4, 4, 8, 8, 16, 16]
    # 2 * batch * length * 4 of every product
    assert list(frame["flops"]) == [32, 64, 64, 128, 128, 256]
    assert {each.axis for each in result.knees} == {"batch", "length"}
    linear = [each for each in result.growth if each.figure == "flops"]
    assert [(each.order, each.at) for each in linear] == [
        ("linear", {"batch": 1}), ("linear", {"batch": 2}),
    ]  # fmt: skip
    assert [point.run_notes().workload for point in result.parts[:1]] == ["scores(length=4)"]
    assert result.joined(result.parts) == result


def test_an_option_that_xla_does_not_know_fails_in_its_rows(take: Take) -> None:
    points = take(plan(batches=[1], option_sets={"odd": {"xla_no_such_option": 1}}), Stopwatch())
    good, bad = points
    assert good.error is None
    assert bad.error is not None
    assert "xla_no_such_option" in bad.error


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
        pytest.raises(InputError, match=r"pip install distributed"),
        dask_executor("tcp://127.0.0.1:9"),
    ):
        pass
