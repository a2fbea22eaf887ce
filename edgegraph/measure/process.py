"""Timing a program in a fresh process, where dispatch and cores can still be chosen."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from edgegraph.base.timing import Progress
from edgegraph.base.worker import run_child
from edgegraph.compiler.program import Program
from edgegraph.measure.archive import ProgramArchive, program_archive, serve
from edgegraph.measure.latency import MeasurementSettings, measure_program
from edgegraph.results.timing import COLD, WARM, Latency

_ENVIRONMENT: Mapping[str, str] = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "1"}

_STARTING_S = 120.0
_BYTES_PER_S = 20e6
"""A disk that gives the arguments back slower than this counts as one that hangs."""

Answer = TypeVar("Answer")


def measure_apart(
    program: Program,
    *,
    cores: int | None = None,
    cache: str = WARM,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> Latency:
    """Time one blocking call of a program in a subprocess, with synchronous dispatch.

    Args:
        program: Compiled for this host.
        cores: Run on this many of the cores that this process may use. XLA compiles for the
            number of cores, so for fewer than all the program is compiled again in that
            process: it is timed as it would be on such a machine.
        cache: ``warm``, or ``cold``.
        settings: How long and how carefully.
        progress: Called with a message and a fraction.

    Returns:
        The latency, with the cores and the state of the caches.

    Raises:
        InputError: The program cannot be run here or cannot leave this process, or there are
            not so many cores.
        EdgeGraphError: The process died, or did not end in time.
        KeyboardInterrupt: Passed through; the process is gone by then.
    """
    settings = settings or MeasurementSettings()
    with program_archive([program], cores=cores) as archive:
        return run_in_subprocess(
            partial(_time_call, cache=cache, settings=settings),
            archive,
            label=f"{program.name}, {cache} caches",
            timeout_s=time_limit_s(archive, settings.limit_s),
            progress=progress,
        )


def measure_conditions(
    program: Program,
    *,
    cold: bool,
    cores: int | None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> tuple[Latency, ...]:
    """Time a program with cold caches, and on some of the cores, each in its own process.

    Args:
        program: Compiled for this host.
        cold: Whether with cold caches, on all cores.
        cores: On how many cores, with warm caches; None for not at all.
        settings: How long and how carefully, for each.
        progress: Called with a message and a fraction.

    Raises:
        InputError: The program cannot be run here or cannot leave this process, there are not
            so many cores, or the system does not tell how large its caches are.
    """
    conditions = [(None, COLD)] * cold + [(cores, WARM)] * (cores is not None)
    return tuple(
        measure_apart(program, cores=count, cache=cache, settings=settings, progress=progress)
        for count, cache in conditions
    )


def _time_call(
    programs: Sequence[Program], report: Progress, *, cache: str, settings: MeasurementSettings
) -> Latency:
    return measure_program(programs[0], cache=cache, settings=settings, progress=report)


def run_in_subprocess(
    task: Callable[[list[Program], Progress], Answer],
    archive: ProgramArchive,
    *,
    label: str,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Call a function with programs in a fresh process, and return its answer.

    Args:
        task: A function of a module, or a `functools.partial` of one. It takes the programs and
            a progress callable; its answer must be one that can be pickled.
        archive: The programs, and the cores that the process may run on.
        label: What to put before the messages of progress, and to call the task in errors.
        timeout_s: The process is killed when it takes longer.
        environment: Environment variables to set in addition.
        progress: Called with a message and a fraction.

    Raises:
        EdgeGraphError: As `edgegraph.base.worker.run_child` raises it.
        KeyboardInterrupt: Passed through; the process is gone by then.
    """

    def report(message: str, fraction: float | None) -> None:
        if progress is not None:
            progress(f"{label}: {message}", fraction)

    answer: Answer = pickle.loads(
        run_child(
            f"{serve.__module__}:{serve.__name__}",
            archive.with_task(task),
            name=label,
            timeout_s=timeout_s,
            environment={**_ENVIRONMENT, **(environment or {})},
            cores=archive.cores,
            progress=report,
        )
    )
    return answer


def time_limit_s(archive: ProgramArchive, measuring_s: float) -> float:
    """Return the time after which a process that measures for so long must have hung."""
    return (
        _STARTING_S + 4 * measuring_s + 10 * archive.compile_s + archive.size_bytes / _BYTES_PER_S
    )
