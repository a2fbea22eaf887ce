"""Sweeps with a measurement that is made up; after an interruption they continue."""

from __future__ import annotations

from typing import Any

import pytest

from edgegraph.errors import EdgeGraphError
from tests.studies.sweep.conftest import Measured, Stopwatch, Take, dense, plan


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


def test_an_option_that_xla_does_not_know_fails_in_its_rows(take: Take) -> None:
    points = take(plan(batches=[1], option_sets={"odd": {"xla_no_such_option": 1}}), Stopwatch())
    good, bad = points
    assert good.error is None
    assert bad.error is not None
    assert "xla_no_such_option" in bad.error
