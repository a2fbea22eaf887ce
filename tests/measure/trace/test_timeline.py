"""Whose time it is, by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.measure.trace.runs import merged
from edgegraph.measure.trace.timeline import Span, read_timeline, slices_of
from edgegraph.measure.trace.xplane import read_planes
from tests.measure.trace.profiles import (
    LOOP,
    PS,
    Made,
    end,
    executor,
    handed,
    host,
    only,
    op,
    piece,
    runs,
    space,
)


def test_a_container_keeps_what_the_ops_inside_leave() -> None:
    run = only(
        host(
            main=[
                op("loop", 0, 100),
                op("check", 5, 5),
                op("work", 20, 30),
                op("check", 60, 5),
            ]
        ),
        LOOP,
    )
    assert run.ops["loop"].self_ps == 60 * PS
    assert run.ops["loop"].total_ps == 100 * PS
    assert run.ops["work"].self_ps == 30 * PS
    assert run.ops["check"].self_ps == 10 * PS
    assert [run.ops[name].executions for name in ("loop", "work", "check")] == [1, 1, 2]
    assert run.busy_ps == run.span_ps == 100 * PS


def test_a_background_op_works_on_other_threads_until_it_hands_on() -> None:
    """It shows 20 ns; a worker goes on for 50 and then runs the next op before noting the end."""
    run = only(
        host(
            main=[op("a", 0, 20, _p=7, _pt=0), handed(5, flow=1)],
            worker=[*piece(30, 105, flow=1), executor(80, 20), op("b", 82, 16), end("a", 101, 7)],
        )
    )
    assert run.ops["a"].self_ps == (20 + 50) * PS
    assert run.ops["a"].total_ps == 80 * PS
    assert run.ops["b"].self_ps == 16 * PS
    assert run.busy_ps == (20 + 50 + 16) * PS
    assert run.span_ps == 98 * PS
    assert run.threads == 2


def test_threads_that_work_for_one_op_count_once_in_its_time() -> None:
    run = only(
        host(
            main=[op("a", 0, 100), handed(10, flow=1)],
            worker=[*piece(20, 90, flow=1)],
        )
    )
    assert run.ops["a"].self_ps == 100 * PS
    assert run.ops["a"].thread_ps == 170 * PS


def test_work_handed_on_by_a_worker_is_the_same_op_s() -> None:
    run = only(
        host(
            main=[op("a", 0, 10, _p=3, _pt=0), handed(5, flow=1)],
            first=[*piece(20, 40, flow=1), handed(30, flow=2)],
            second=[*piece(50, 70, flow=2), end("a", 70, 3)],
        )
    )
    assert run.ops["a"].self_ps == 50 * PS
    assert run.ops["a"].total_ps == 70 * PS


def test_a_worker_that_comes_when_all_is_done_does_nothing() -> None:
    run = only(
        host(
            main=[op("a", 0, 100), handed(10, flow=1), end("a", 99, 3)],
            worker=[*piece(90, 400, flow=1)],
        )
    )
    assert run.ops["a"].thread_ps == 110 * PS
    assert run.end_ps - run.start_ps == 100 * PS


def test_what_the_executor_itself_takes_is_no_op_s() -> None:
    run = only(host(main=[executor(0, 100), op("a", 10, 20), op("b", 60, 30)]))
    assert run.busy_ps == 50 * PS
    assert run.span_ps == 80 * PS


def test_inside_a_container_the_executor_is_part_of_it() -> None:
    run = only(host(main=[op("loop", 0, 100), executor(10, 80), op("work", 20, 30)]), LOOP)
    assert run.ops["loop"].self_ps == 70 * PS


def test_a_tpu_names_its_calls_on_a_line_of_their_own() -> None:
    text = "%a = f32[8]{0:T(256)} negate(f32[8]{0:T(256)} %x)"
    profile = space(
        {
            "/device:TPU:0": {
                "XLA Modules": [Made("m(123)", 0, 50), Made("m(123)", 60, 50)],
                "XLA Ops": [
                    Made(text, 0, 20, display_name="a"),
                    Made(text, 60, 30),
                    Made("%b = f32[8] sine(f32[8] %a)", 95, 10),
                    Made("%a = f32[8] negate(f32[8] %x)", 200, 10),
                ],
                "Steps": [Made("0", 0, 200)],
            },
            "/host:CPU": {"python": [Made("PjitFunction(f)", 0, 300)]},
        }
    )
    first, second = runs(profile)
    assert first.ops["a"].self_ps == 20 * PS
    assert (second.ops["a"].self_ps, second.ops["b"].self_ps) == (30 * PS, 10 * PS)
    assert first.device == ("/device:TPU:0", 0)


def test_a_gpu_runs_streams_side_by_side() -> None:
    profile = space(
        {
            "/device:GPU:0": {
                "Stream #1(Compute)": [op("a", 0, 50), op("b", 60, 40)],
                "Stream #2(Compute)": [op("c", 20, 60), Made("memset", 90, 5)],
            }
        }
    )
    run = only(profile)
    assert (run.busy_ps, run.threads) == (100 * PS, 2)
    assert sum(figures.self_ps for figures in run.ops.values()) == 150 * PS


def test_of_overlapping_events_the_later_one_has_the_time() -> None:
    first, second = Span(thread=0, start_ps=0, end_ps=10), Span(thread=0, start_ps=5, end_ps=15)
    assert [(start, stop) for _, start, stop in slices_of([first, second])] == [(0, 5), (5, 15)]


stretches = st.tuples(st.integers(0, 50), st.integers(0, 30)).map(lambda p: (p[0], p[0] + p[1]))


@given(st.lists(stretches, max_size=20))
def test_the_slices_of_a_thread_are_its_time(pairs: list[tuple[int, int]]) -> None:
    spans = [
        Span(thread=0, start_ps=start, end_ps=stop)
        for start, stop in sorted(pairs, key=lambda pair: (pair[0], -pair[1]))
    ]
    slices = list(slices_of(spans))
    assert sum(stop - start for _, start, stop in slices) == merged(
        (0, start, stop) for start, stop in pairs
    )
    assert all(span.start_ps <= start < stop <= span.end_ps for span, start, stop in slices)
    assert all(one[2] <= two[1] for one, two in pairwise(slices))


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, list[Made]]:
    """Draw threads with ops, executors, work that is handed on, and ends, in any disorder."""
    threads: dict[str, list[Made]] = {}
    flows = st.integers(0, 3)
    for number in range(draw(st.integers(1, 3))):
        events: list[Made] = []
        for start, stop in draw(st.lists(stretches, max_size=8)):
            kind = draw(st.sampled_from(["op", "executor", "piece", "handed", "end"]))
            if kind == "op":
                name = draw(st.sampled_from("abc"))
                events.append(op(name, start, stop - start, 1, _p=draw(flows), _pt=0))
            elif kind == "executor":
                events.append(executor(start, stop - start))
            elif kind == "piece":
                events += piece(start, stop, draw(flows))
            elif kind == "handed":
                events.append(handed(start, draw(flows)))
            else:
                events.append(end("x", start, draw(flows)))
        threads[f"thread {number}"] = events
    return threads


@given(profiles())
def test_ops_never_take_more_than_the_threads_have(threads: dict[str, list[Made]]) -> None:
    for run in runs(space({"/host:CPU": threads})):
        self_ps = sum(figures.self_ps for figures in run.ops.values())
        thread_ps = sum(figures.thread_ps for figures in run.ops.values())
        assert run.busy_ps <= self_ps <= thread_ps <= run.threads * run.span_ps
        assert run.busy_ps <= run.span_ps
        for figures in run.ops.values():
            assert figures.self_ps <= run.busy_ps


@pytest.mark.parametrize("nesting", [1, 50])
def test_deep_nesting_is_read(nesting: int) -> None:
    events = [op("a", index, 200 - 2 * index) for index in range(nesting)]
    run = only(host(main=events))
    assert {name: figures.self_ps for name, figures in run.ops.items()} == {"a": 200 * PS}


def test_host_events_that_launch_what_a_device_runs_are_no_ops_of_it() -> None:
    """Four calls: mul takes 100 us and add 200 us on the GPU, launching them 10 us and 6 us."""
    calls = range(4)
    launches = [
        op(name, start + offset, length, number, program_id=9)
        for number, start in zip(calls, (0, 400_000, 800_000, 1_200_000), strict=True)
        for name, offset, length in (("a", 0, 10_000), ("b", 20_000, 6_000))
    ]
    kernels = [
        op(name, start + offset, length, number)
        for number, start in zip(calls, (30_000, 430_000, 830_000, 1_230_000), strict=True)
        for name, offset, length in (("a", 0, 100_000), ("b", 100_000, 200_000))
    ]
    elsewhere = [Made("w", 0, 5, {"hlo_op": "w", "hlo_module": "on_the_host", "run_id": 1})]
    profile = space(
        {
            "/device:GPU:0": {"Stream #13": kernels},
            "/host:CPU": {"python": [executor(0, 1), *launches], "other": elsewhere},
        }
    )
    found = runs(profile)
    assert [each.device for each in found] == [("/device:GPU:0", 0)] * 4
    assert [each.ops["a"].self_ps for each in found] == [100_000 * PS] * 4
    assert [each.ops["b"].self_ps for each in found] == [200_000 * PS] * 4
    assert len(read_timeline(read_planes(profile)).of("on_the_host").spans) == 1
