"""Host and device side by side: the next batch is made while the device works on this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Queue
from typing import Any

import jax

from edgegraph.base.timing import Clock, Progress, monotonic_clock
from edgegraph.compiler.program import Program
from edgegraph.errors import InputError
from edgegraph.measure.latency import ExecutableCall, program_arguments, use_synchronous_dispatch
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds, summarise
from edgegraph.results.timing import InputOverlap
from edgegraph.results.verdicts import worst

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
