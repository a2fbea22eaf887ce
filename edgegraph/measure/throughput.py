"""Pipelined throughput: calls that are handed over before the last ones are done.

Dispatch is asynchronous here, which has to be chosen before JAX starts, so all of it happens in
a fresh process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import jax

from edgegraph.base.timing import Clock, Progress, monotonic_clock
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.errors import InputError, positive_integer
from edgegraph.measure import statistics
from edgegraph.measure.archive import program_archive, run_in_subprocess, time_limit_s
from edgegraph.measure.latency import ExecutableCall, program_arguments
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds
from edgegraph.results.timing import Throughput

QUEUE_DEPTHS = (1, 2, 4, 8, 16, 32)

WINDOW_S = 0.05
"""A window is about this long, and never fewer calls than `FILLINGS` times the queue depth."""

FILLINGS = 2

LEAST_WINDOWS = 12

_PROBING_CALLS = 5
_ROUNDS_TO_FIT = LEAST_WINDOWS // 2 + 2
"""First windows, warm-up, and half of the windows."""

Results = TypeVar("Results")


def measure_throughput(
    program: Program,
    *,
    queue_depths: Sequence[int] = QUEUE_DEPTHS,
    cores: int | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> tuple[Throughput, ...]:
    """Find out how many calls a program gets through, by the number of calls in flight.

    Calls are made without waiting until as many are in flight as the queue is deep; then each
    further one waits for the oldest. Time runs from the first enqueue of a window to its last
    completion, as in MLPerf's offline scenario. Donated arguments are fed from the results of
    the call before, so such calls wait for each other; their queue is one of dispatches.

    Depths so large that no six windows fit into `limit_s`, for all together, are left out, save the
    smallest: a program that takes so long hides its dispatch at a small depth already. `cores` are
    as in `measure_apart`.
    """
    if not queue_depths:
        raise InputError("no queue depth was given; expected positive integers")
    settings = settings or MeasurementSettings()
    depths = tuple(sorted({positive_integer(depth, "queue depth") for depth in queue_depths}))
    with program_archive([program], cores=cores, synchronous=False) as archive:
        return run_in_subprocess(
            partial(_time_depths, queue_depths=depths, settings=settings),
            archive,
            label=f"{program.name}, throughput",
            timeout_s=time_limit_s(archive, settings.limit_s),
            progress=progress,
        )


def _time_depths(
    programs: Sequence[Program],
    report: Progress,
    *,
    queue_depths: Sequence[int],
    settings: MeasurementSettings,
) -> tuple[Throughput, ...]:
    """Time a program at every queue depth, in a fresh process."""
    program = programs[0]
    call = ExecutableCall(program.executable, program_arguments(program))

    def wait(results: Any) -> None:
        # A call that hands on everything it makes is done when the next one's arguments are.
        jax.block_until_ready(results if jax.tree.leaves(results) else call.arguments)

    found = time_windows(
        call.enqueue,
        wait,
        queue_depths,
        batch=program.batch,
        settings=settings,
        progress=report,
    )
    return tuple(found)


def time_windows(
    enqueue: Callable[[], Results],
    wait: Callable[[Results], None],
    queue_depths: Sequence[int],
    *,
    batch: int | None,
    settings: MeasurementSettings,
    clock: Clock = monotonic_clock,
    progress: Progress | None = None,
) -> list[Throughput]:
    """Time windows of calls at every queue depth, in random order in every round.

    `enqueue` starts a call and returns what `wait` waits for; `batch` is the samples in a call.
    """
    wait(enqueue())
    probe = partial(run_window, enqueue, wait, queue_depth=1, calls=1)
    probing = Series(call=probe, clock=clock)
    for _ in range(_PROBING_CALLS):
        probing.sample()
    call_s = statistics.median(probing.samples_s)
    depths = fitting_depths(queue_depths, call_s, settings.limit_s)
    counts = [max(FILLINGS * depth, math.ceil(WINDOW_S / max(call_s, 1e-9))) for depth in depths]
    every = [
        Series(call=partial(run_window, enqueue, wait, queue_depth=depth, calls=calls), clock=clock)
        for depth, calls in zip(depths, counts, strict=True)
    ]
    windows = replace(
        settings, warm_up_calls=1, warm_up_s=0.0, minimum_samples=LEAST_WINDOWS, block_below_s=0.0
    )
    sampling = sample_in_rounds(every, windows, clock, progress=progress)
    return [
        _throughput(series.samples_s, depth, calls, batch, sampling.others_share)
        for series, depth, calls in zip(every, depths, counts, strict=True)
    ]


def run_window(
    enqueue: Callable[[], Results],
    wait: Callable[[Results], None],
    *,
    queue_depth: int,
    calls: int,
) -> None:
    """Make calls with at most `queue_depth` of them in flight, and wait for them all."""
    in_flight: deque[Results] = deque()
    for _ in range(calls):
        if len(in_flight) == queue_depth:
            wait(in_flight.popleft())
        in_flight.append(enqueue())
    for results in in_flight:
        wait(results)


def fitting_depths(queue_depths: Sequence[int], call_s: float, limit_s: float) -> tuple[int, ...]:
    """Leave out the largest depths until enough windows of each fit into the time; keep one."""
    fitting = list(queue_depths)
    while len(fitting) > 1 and _ROUNDS_TO_FIT * FILLINGS * sum(fitting) * call_s > limit_s:
        fitting.pop()
    return tuple(fitting)


def _throughput(
    windows_s: Sequence[float],
    depth: int,
    calls: int,
    batch: int | None,
    others_share: float | None,
) -> Throughput:
    wall_s = math.fsum(windows_s)
    calls_per_s = calls * len(windows_s) / wall_s
    seen: dict[str, Any] = {
        "relative_iqr": statistics.relative_interquartile_range(windows_s),
        "drift": statistics.drift(windows_s),
        "others_share": others_share,
    }
    verdict, reasons = statistics.judge(len(windows_s), **seen)
    return Throughput(
        queue_depth=depth,
        batch=batch,
        calls=calls * len(windows_s),
        windows=len(windows_s),
        wall_s=wall_s,
        calls_per_s=calls_per_s,
        samples_per_s=calls_per_s * (1 if batch is None else batch),
        verdict=verdict,
        reasons=reasons,
        cores=len(host.usable_cores()),
        **seen,
    )
