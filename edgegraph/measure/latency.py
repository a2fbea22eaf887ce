"""Blocking latency of one call: how long until its results are there."""

from __future__ import annotations

from collections.abc import Callable

from edgegraph.compiler.program import Program
from edgegraph.errors import InputError
from edgegraph.measure import statistics
from edgegraph.measure.clock import Clock, monotonic_clock
from edgegraph.measure.cold import cache_emptier
from edgegraph.measure.executable import (
    ExecutableCall,
    null_call,
    program_arguments,
    use_synchronous_dispatch,
)
from edgegraph.measure.rounds import sample_in_rounds
from edgegraph.measure.sampling import (
    MeasurementSettings,
    Progress,
    Series,
    other_processes,
    summarise,
)
from edgegraph.results.latency import COLD, WARM, Latency

__all__ = ["MeasurementSettings", "measure_latency", "measure_program"]


def measure_latency(
    call: Callable[[], object],
    *,
    settings: MeasurementSettings | None = None,
    clock: Clock = monotonic_clock,
    null_call: Callable[[], object] | None = None,
    after: Callable[[object], None] | None = None,
    progress: Progress | None = None,
) -> Latency:
    """Time a blocking call until its median holds still.

    One call is a sample; calls below 10 us are timed in blocks. Sampling ends when there are
    enough samples over enough time and their last three windows agree, else at the time limit.

    Args:
        call: What is timed; returns when its work is done.
        settings: How long and how carefully; `MeasurementSettings` says the defaults.
        clock: Nanoseconds.
        null_call: A call that costs what launching costs and does nothing; timed in turns with
            `call`, so that both see the same machine. Its median is the dispatch floor.
        after: Handed every result outside the timed part, such as to feed it back.
        progress: Called with a message and a fraction.

    Raises:
        KeyboardInterrupt: Passed through; garbage collection is on again by then.

    Example:
        >>> ticks = iter(range(0, 10**12, 5_000_000))  # a clock that moves on by 5 ms
        >>> latency = measure_latency(lambda: None, clock=lambda: next(ticks))
        >>> latency.median_s, latency.verdict, latency.stopped_by
        (0.005, 'OK', 'stable')
    """
    settings = settings or MeasurementSettings()
    main = Series(call=call, after=after, clock=clock)
    null = None if null_call is None else Series(call=null_call, clock=clock)
    every = [main] if null is None else [main, null]
    with other_processes(clock) as others:
        stopped_by = sample_in_rounds(every, settings, clock, rewarm=False, progress=progress)
    return summarise(
        main,
        stopped_by=stopped_by,
        settings=settings,
        dispatch_s=None if null is None else statistics.median(null.samples_s),
        others_share=others.share,
    )


def measure_program(
    program: Program,
    *,
    cache: str = WARM,
    settings: MeasurementSettings | None = None,
    clock: Clock = monotonic_clock,
    progress: Progress | None = None,
) -> Latency:
    """Time one blocking call of a program, with its arguments on the device.

    The dispatch floor is that of an executable with the same arguments and results that
    computes nothing.

    Args:
        program: Compiled for this host.
        cache: ``warm``, or ``cold`` to touch four times the last cache's size of other data
            before every call.
        settings: How long and how carefully.
        clock: Nanoseconds.
        progress: Called with a message and a fraction.

    Raises:
        InputError: The program cannot be run here, `cache` is neither of the two, or the system
            does not tell how large its caches are.
        KeyboardInterrupt: Passed through.
    """
    if cache not in (WARM, COLD):
        raise InputError(f"cache {cache!r} is unknown; expected {WARM!r} or {COLD!r}")
    settings = settings or MeasurementSettings()
    synchronous = use_synchronous_dispatch()
    arguments = program_arguments(program)
    before = cache_emptier() if cache == COLD else None
    call = ExecutableCall(program.executable, arguments)
    main = Series(call=call, before=before, after=call.after, clock=clock)
    nothing = null_call(arguments, program.executable.out_info)
    null = Series(call=nothing, before=before, clock=clock)
    every = [main, null]
    with other_processes(clock) as others:
        stopped_by = sample_in_rounds(every, settings, clock, rewarm=False, progress=progress)
    return summarise(
        main,
        stopped_by=stopped_by,
        settings=settings,
        dispatch_s=statistics.median(null.samples_s),
        synchronous=synchronous,
        others_share=others.share,
        cache=cache,
    )
