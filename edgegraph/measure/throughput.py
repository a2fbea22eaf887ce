"""What goes on side by side: calls with calls, and the device with the host.

Pipelined throughput hands calls over before the last ones are done. Dispatch is asynchronous there,
which has to be chosen before JAX starts, so all of it happens in a fresh process. An input pipeline
makes the next batch while the device works on this one.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from queue import Queue
from typing import Any, TypeVar

import jax

from edgegraph.base.timing import Clock, Progress, monotonic_clock
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.errors import InputError, positive_integer
from edgegraph.measure import statistics
from edgegraph.measure.archive import program_archive, run_in_subprocess, time_limit_s
from edgegraph.measure.latency import ExecutableCall, program_arguments, use_synchronous_dispatch
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds, summarise
from edgegraph.results.timing import InputOverlap, Throughput
from edgegraph.results.verdicts import worst

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
        call.enqueue, wait, queue_depths, batch=program.batch, settings=settings, progress=report
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
    """Time windows of calls, each of `batch` samples, at every queue depth, in turns."""
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
        _throughput(sampling.kept(series), depth, calls, batch, sampling.others_share)
        for series, depth, calls in zip(every, depths, counts, strict=True)
    ]


def run_window(
    enqueue: Callable[[], Results], wait: Callable[[Results], None], *, queue_depth: int, calls: int
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
    samples_per_s = calls_per_s * (1 if batch is None else batch)
    interval = _interval_per_s(windows_s, samples_per_s)
    known_to = math.inf if interval is None else statistics.half_width(interval, samples_per_s)
    seen: dict[str, Any] = {"drift": statistics.drift(windows_s), "others_share": others_share}
    verdict, reasons = statistics.judge(len(windows_s), uncertainty=known_to, **seen)
    return Throughput(
        queue_depth=depth,
        batch=batch,
        calls=calls * len(windows_s),
        windows=len(windows_s),
        wall_s=wall_s,
        calls_per_s=calls_per_s,
        samples_per_s=samples_per_s,
        interval_per_s=interval,
        relative_iqr=statistics.relative_interquartile_range(windows_s),
        verdict=verdict,
        reasons=reasons,
        cores=len(host.usable_cores()),
        **seen,
    )


def _interval_per_s(windows_s: Sequence[float], samples_per_s: float) -> tuple[float, float] | None:
    """Return the interval of the rate, from that of the windows' mean time."""
    if len(windows_s) < 2:
        return None
    low_s, high_s = statistics.mean_interval(windows_s, statistics.CONFIDENCE)
    mean_s = math.fsum(windows_s) / len(windows_s)
    fastest = samples_per_s * mean_s / max(low_s, min(windows_s))
    return samples_per_s * mean_s / high_s, fastest


Prepare = Callable[[int], Sequence[Any]]
"""Makes the inputs of one step on the host, by the number of the step."""

STEPS = 16
"""Steps in a block. A block begins with an empty pipeline: its first batch is not hidden."""

AHEAD = 2
"""Batches that the thread makes ahead at most."""


def measure_input_overlap(
    program: Program,
    prepare: Prepare,
    *,
    settings: MeasurementSettings | None = None,
    clock: Clock = monotonic_clock,
    progress: Progress | None = None,
) -> InputOverlap:
    """Time steps whose inputs the host prepares: one after the other, and side by side.

    `prepare` takes the number of a step and returns the program's last arguments as NumPy arrays;
    it is called from another thread too. The settings are for all five measurements together.
    """
    settings = settings or MeasurementSettings()
    synchronous = use_synchronous_dispatch()
    arguments = program_arguments(program)
    given = tuple(prepare(0))
    _check(program, arguments, given)
    call = ExecutableCall(program.executable, arguments)

    def step(inputs: Sequence[Any]) -> object:
        call.arguments = (*call.arguments[: -len(given)], *inputs)
        result = call()
        if call.after is not None:
            call.after(result)
        return result

    blocks = _blocks(prepare, step, given)
    every = {name: Series(call=block, clock=clock) for name, block in blocks.items()}
    sampling = sample_in_rounds(list(every.values()), settings, clock, progress=progress)
    found = {
        name: summarise(series, sampling, synchronous=synchronous) for name, series in every.items()
    }
    step_s = {f"{name}_s": latency.median_s / STEPS for name, latency in found.items()}
    return InputOverlap(
        steps=STEPS,
        **step_s,
        verdict=worst(latency.verdict for latency in found.values()),
        reasons=tuple(
            f"{name}: {reason}" for name, latency in found.items() for reason in latency.reasons
        ),
    )


def _blocks(
    prepare: Prepare, step: Callable[[Sequence[Any]], object], given: Sequence[Any]
) -> dict[str, Callable[[], object]]:
    """Return what is timed, by the name of its time."""

    def send(inputs: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(jax.block_until_ready(jax.device_put(tuple(inputs))))

    there = send(given)
    return {
        "prepare": lambda: [prepare(number) for number in range(STEPS)],
        "transfer": lambda: [send(given) for _ in range(STEPS)],
        "step": lambda: [step(there) for _ in range(STEPS)],
        "serial": lambda: [step(send(prepare(number))) for number in range(STEPS)],
        "overlapped": lambda: run_ahead(lambda number: send(prepare(number)), step, STEPS),
    }


def run_ahead(make: Callable[[int], Any], use: Callable[[Any], object], steps: int) -> None:
    """Use in order what a thread makes of 0, 1, ..., while it makes the next."""
    ready: Queue[tuple[Any, BaseException | None]] = Queue(maxsize=AHEAD)
    wanted = threading.Event()
    wanted.set()

    def produce() -> None:
        for number in range(steps):
            if not wanted.is_set():
                return
            try:
                made: tuple[Any, BaseException | None] = (make(number), None)
            except BaseException as error:  # handed to the thread that waits for it
                made = (None, error)
            ready.put(made)

    thread = threading.Thread(target=produce, name="edgegraph-input", daemon=True)
    thread.start()
    taken = 0
    try:
        while taken < steps:
            made, error = ready.get()
            taken += 1
            if error is not None:
                raise error
            use(made)
    finally:
        wanted.clear()
        while thread.is_alive():
            # A thread that waits for room in the queue gets it, and then sees that it is over.
            while not ready.empty():
                ready.get()
            thread.join(0.001)


def _check(program: Program, arguments: Sequence[Any], given: Sequence[Any]) -> None:
    """Compare what the pipeline returns with the program's last arguments."""
    wanted = _types(arguments[max(0, len(arguments) - max(1, len(given))) :])
    if not given or len(given) > len(arguments) or _types(given) != wanted:
        raise InputError(
            f"the input pipeline returns {', '.join(_types(given)) or 'nothing'}, and the last"
            f" arguments of {program.name!r} are {', '.join(wanted)}; it must return arrays of"
            " the same shapes and dtypes, in that order"
        )


def _types(values: Sequence[Any]) -> list[str]:
    return [
        f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]" for leaf in jax.tree.leaves(list(values))
    ]
