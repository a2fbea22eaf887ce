"""From events to figures, by hand."""

from __future__ import annotations

import pytest

from edgegraph.hlo.graph import flatten
from edgegraph.measure.trace.runs import count_loops, merged
from edgegraph.results.op_trace import LoopTrace
from tests.measure.trace.profiles import LOOP, PS, Made, executor, host, only, op, runs, space


def test_ops_of_other_modules_and_of_unknown_names_are_told_apart() -> None:
    other = Made("z", 0, 50, {"hlo_op": "z", "hlo_module": "other", "run_id": 9})
    run = only(host(main=[op("a", 0, 10), op("who", 20, 5), other]))
    assert set(run.ops) == {"a"}
    assert run.unmatched_ps == {"who": 5 * PS}


def test_calls_are_told_apart_by_their_id_or_by_their_first_op() -> None:
    by_id = runs(host(main=[op("a", 0, 1, run=5), op("a", 10, 2, run=6), op("b", 20, 3, run=6)]))
    assert [sorted(run.ops) for run in by_id] == [["a"], ["a", "b"]]
    stream = [op("a", 0, 1, None), op("b", 2, 1, None), op("a", 10, 2, None), op("b", 13, 2, None)]
    by_op = runs(space({"/device:GPU:0": {"Stream #1": stream}}))
    assert [run.span_ps for run in by_op] == [3 * PS, 5 * PS]


def test_an_op_of_several_steps_runs_once() -> None:
    """A sort copies first: two events, where the op beside it has one."""
    run = only(host(main=[op("a", 0, 1), op("a", 2, 8), op("b", 20, 5)]))
    assert run.ops["a"].executions == 1
    assert run.ops["a"].self_ps == 9 * PS


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        ([], 0),
        ([(0, 5, 8)], 3),
        ([(0, 0, 10), (1, 20, 25)], 15),
        ([(0, 0, 10), (1, 10, 12)], 12),
        ([(1, 5, 20), (0, 0, 10), (2, 6, 7)], 20),
    ],
)
def test_time_counts_once_however_many_threads_work(
    pieces: list[tuple[int, int, int]], length: int
) -> None:
    assert merged(pieces) == length


def loop(checks: int, works: int) -> tuple[LoopTrace, ...]:
    """Count a loop from one call in which its condition and its body left so many events."""
    events = [op("loop", 0, 1000), executor(1, 998)]
    events += [op("check", 10 + 50 * index, 5) for index in range(checks)]
    events += [op("work", 20 + 50 * index, 10) for index in range(works)]
    return count_loops(LOOP.module, flatten(LOOP.module), runs(host(main=events), LOOP))


@pytest.mark.parametrize(("checks", "works"), [(4, 3), (4, 0), (0, 3)])
def test_a_loop_is_counted_by_its_body_or_else_by_its_condition(checks: int, works: int) -> None:
    (found,) = loop(checks, works)
    assert (found.name, found.entered, found.iterations, found.checked) == ("loop", 1, 3, 4)


def test_a_loop_of_which_nothing_shows_is_not_counted() -> None:
    assert loop(0, 0) == ()


def test_threads_and_spans_of_a_call() -> None:
    run = only(host(main=[op("a", 0, 10), op("b", 30, 10)]))
    assert (run.threads, run.span_ps, run.busy_ps) == (1, 40 * PS, 20 * PS)
    assert [(name, span.end_ps - span.start_ps) for name, span in run.spans] == [
        ("a", 10 * PS), ("b", 10 * PS)
    ]  # fmt: skip
