"""Two programs against each other: paired, interleaved, over fresh processes, with a control.

Times of one program differ more from process to process, and from minute to minute, than two
programs often do. So the calls of both take turns within a process, in random order, and are
compared round by round; that is repeated in several processes, and the spread between these
gives the interval. The first program is loaded a second time and takes its turns like the
others: what it seems to differ from itself is noise, and no verdict goes below it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from edgegraph.base.timing import Progress, monotonic_clock, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.device.host import NOISY_OTHERS
from edgegraph.errors import InputError
from edgegraph.measure import statistics
from edgegraph.measure.archive import program_archive, run_in_subprocess, time_limit_s
from edgegraph.measure.latency import ExecutableCall, program_arguments
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds
from edgegraph.results.timing import ProcessTimes, TimingComparison
from edgegraph.results.verdicts import NO_DIFFERENCE, NOISY, verdict_of_intervals
from edgegraph.workload import Workload

WIDEST_INTERVAL = 0.05
"""An interval that reaches further than this from its middle is too wide to say anything."""

FEWEST_PROCESSES = 3
CONFIDENCE = 0.95

SETTINGS = MeasurementSettings(
    warm_up_calls=3,
    warm_up_s=0.1,
    minimum_samples=20,
    minimum_s=0.6,
    known_to=math.inf,
    limit_s=6.0,
)
"""Of every process. Nothing waits for calm: calls are compared with those of the same round, and
more processes tell more than more calls in each."""

Subject = Program | Workload | Callable[..., Any]


def compare_timings(
    first: Subject,
    second: Subject,
    *,
    args: Sequence[Any] | None = None,
    batch: int | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
    names: tuple[str, str] | None = None,
    processes: int = 5,
    cores: int | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> TimingComparison:
    """Find out whether the second program is faster or slower than the first.

    A difference is claimed where the whole interval lies more than 1 % from 1 and beyond what
    the first program differs from itself in the same rounds. Otherwise there is no difference
    that could be seen, or, where the interval is wide, the control strays or other processes
    were busy, the verdict is NOISY and nothing is claimed. A comparison takes about 1.5 s for
    every process.

    Args:
        first: A compiled Program, a Workload, or a function with `args`.
        second: Likewise.
        args: Arguments of functions.
        batch: Batch size of Workloads.
        options: XLA compiler options for Workloads and functions.
        names: What to call the two; their own names where None.
        processes: How many fresh processes, 3 at least.
        cores: Run on this many cores, compiled again for them if these are not all.
        settings: How long and how carefully, in every process.
        progress: Called with a message and a fraction.

    Raises:
        InputError: A program cannot be run here or cannot leave this process, or there are too
            few processes.
        CompileError: A function does not compile.
        EdgeGraphError: A process died, or did not end in time.
        KeyboardInterrupt: Passed through; the process is gone by then.

    Example:
        >>> import jax.numpy as jnp, edgegraph as eg
        >>> outcome = eg.compare_timings(jnp.sin, jnp.cos, args=(jnp.ones(1000),))  # doctest: +SKIP
        >>> print(outcome)  # doctest: +SKIP
        no difference between sin and cos: 6.95 us against 6.93 us, ratio 0.998 ...
    """
    whole = isinstance(processes, int) and not isinstance(processes, bool)
    if not whole or processes < FEWEST_PROCESSES:
        raise InputError(
            f"processes must be an integer of at least {FEWEST_PROCESSES}, as an interval needs so"
            f" many, not {processes!r}"
        )
    settings = settings or SETTINGS
    one, other = (_program(subject, args, batch, options) for subject in (first, second))
    seen: list[ProcessTimes] = []
    with program_archive([one, one, other], cores=cores) as archive:
        for number in range(processes):
            seeded = replace(settings, seed=settings.seed + number)
            times = run_in_subprocess(
                partial(_time_in_turns, settings=seeded),
                archive,
                label=f"{one.name} against {other.name}, process {number + 1} of {processes}",
                timeout_s=time_limit_s(archive, settings.limit_s),
                progress=_part(progress or no_progress, number, processes),
            )
            seen.append(times)
    return conclude(
        names or _told_apart(one.name, other.name),
        seen,
        cores=len(host.usable_cores()) if cores is None else cores,
    )


def _time_in_turns(
    programs: Sequence[Program], report: Progress, *, settings: MeasurementSettings
) -> ProcessTimes:
    """Time the first program, the first again, and the second, in a fresh process."""
    calls = [ExecutableCall(one.executable, program_arguments(one)) for one in programs]
    every = [Series(call=call, after=call.after, clock=monotonic_clock) for call in calls]
    sampling = sample_in_rounds(every, settings, monotonic_clock, rewarm=True, progress=report)
    first_s, control_s, second_s = map(sampling.kept, every)
    return process_times(
        first_s=first_s, control_s=control_s, second_s=second_s, others_share=sampling.others_share
    )


def process_times(
    *,
    first_s: Sequence[float],
    control_s: Sequence[float],
    second_s: Sequence[float],
    others_share: float | None,
) -> ProcessTimes:
    """Sum up one process, from calls in the same rounds; the control is the first, loaded again."""
    pairs = min(len(first_s), len(control_s), len(second_s))
    first, control, second = (
        np.asarray(samples[:pairs]) for samples in (first_s, control_s, second_s)
    )
    return ProcessTimes(
        first_s=statistics.median(first),
        second_s=statistics.median(second),
        control_s=statistics.median(control),
        ratio=math.exp(statistics.median(np.log(second / first))),
        control_ratio=math.exp(statistics.median(np.log(control / first))),
        pairs=pairs,
        others_share=others_share,
    )


def conclude(
    names: tuple[str, str], processes: Sequence[ProcessTimes], *, cores: int
) -> TimingComparison:
    """Return the verdict on what the processes (three at least) saw."""
    ratio, interval = _ratio([one.ratio for one in processes])
    control_ratio, control_interval = _ratio([one.control_ratio for one in processes])
    reasons = _noise(processes, interval, control_interval)
    verdict = NOISY if reasons else verdict_of_intervals(1.0, control_interval, interval)
    if verdict == NO_DIFFERENCE and _strays(interval):
        verdict = NOISY
        reasons = ("the first program differs from itself as far as from the second",)
    return TimingComparison(
        first=names[0],
        second=names[1],
        first_s=statistics.median([one.first_s for one in processes]),
        second_s=statistics.median([one.second_s for one in processes]),
        ratio=ratio,
        interval=interval,
        control_ratio=control_ratio,
        control_interval=control_interval,
        verdict=verdict,
        reasons=reasons,
        cores=cores,
        processes=tuple(processes),
    )


def _noise(
    processes: Sequence[ProcessTimes],
    interval: tuple[float, float],
    control_interval: tuple[float, float],
) -> tuple[str, ...]:
    """Return why this comparison is inconclusive."""
    reasons = []
    half_width = math.sqrt(interval[1] / interval[0]) - 1
    if half_width > WIDEST_INTERVAL:
        reasons.append(f"the ratio is known to {half_width:.1%} only, not to {WIDEST_INTERVAL:.0%}")
    if _strays(control_interval):
        reasons.append(
            f"the first program seems {control_interval[0]:.3f} to {control_interval[1]:.3f}"
            " times as slow as itself"
        )
    shares = [one.others_share for one in processes if one.others_share is not None]
    if shares and (share := sum(shares) / len(shares)) > NOISY_OTHERS:
        reasons.append(
            f"other processes took {share:.0%} of the cores' time, more than {NOISY_OTHERS:.0%}"
        )
    return tuple(reasons)


def _strays(interval: tuple[float, float]) -> bool:
    """Return whether a whole interval lies outside 1 % around 1."""
    return verdict_of_intervals(1.0, (1.0, 1.0), interval) != NO_DIFFERENCE


def _ratio(ratios: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the geometric mean and its confidence interval."""
    logs = [math.log(ratio) for ratio in ratios]
    low, high = statistics.mean_interval(logs, CONFIDENCE)
    return math.exp(math.fsum(logs) / len(logs)), (math.exp(low), math.exp(high))


def _program(
    subject: Subject,
    args: Sequence[Any] | None,
    batch: int | None,
    options: Mapping[str, str | int | float | bool] | None,
) -> Program:
    if isinstance(subject, Program):
        return subject
    if isinstance(subject, Workload):
        return compile_workload(subject, batch=batch, options=options)
    if args is None:
        raise InputError(f"cannot time {subject!r} without arguments; pass them as args=(...)")
    return compile_workload(subject, *args, options=options)


def _told_apart(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _part(progress: Progress, number: int, processes: int) -> Progress:
    """Report the progress of one process as its part of the whole."""
    return lambda message, fraction: progress(
        message, None if fraction is None else (number + fraction) / processes
    )
