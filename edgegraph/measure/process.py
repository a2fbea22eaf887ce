"""Timing a program in a fresh process, where dispatch and cores can still be chosen."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from edgegraph.child import Progress, run_child
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.errors import InputError
from edgegraph.measure.latency import Settings, measure_program
from edgegraph.measure.parcel import Parcel, open_parcel, parcel
from edgegraph.results.latency import COLD, WARM, Latency

CHILD_ENVIRONMENT: Mapping[str, str] = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "1"}

_STARTING_S = 120.0
_BYTES_PER_S = 20e6
"""A disk that gives the arguments back slower than this counts as one that hangs."""

Answer = TypeVar("Answer")


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    cache: str
    settings: Settings


def measure_apart(
    program: Program,
    *,
    cores: int | None = None,
    cache: str = WARM,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Latency:
    """Time one blocking call of a program in a process of its own, with synchronous dispatch.

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
    settings = settings or Settings()
    task = msgspec.msgpack.encode(_Task(cache=cache, settings=settings))
    with parcel([program], recompile=is_recompiled(cores)) as packed:
        answer = run_in_subprocess(
            f"{__name__}:serve_latency",
            packed,
            task,
            label=f"{program.name}, {cache} caches",
            cores=cores,
            timeout_s=time_limit_s(packed, settings.limit_s, program),
            progress=progress,
        )
    return msgspec.msgpack.decode(answer, type=Latency)


def measure_conditions(
    program: Program,
    *,
    cold: bool,
    cores: int | None,
    settings: Settings | None = None,
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


def serve_latency(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    """Time a program: the fresh process's side of `measure_apart`."""
    programs, content = open_parcel(payload, synchronous=True)
    task = msgspec.msgpack.decode(content, type=_Task)
    latency = measure_program(
        programs[0], cache=task.cache, settings=task.settings, progress=report
    )
    return msgspec.msgpack.encode(latency)


def run_in_subprocess(
    function: str,
    packed: Parcel,
    task: bytes,
    *,
    label: str,
    cores: int | None,
    timeout_s: float,
    progress: Progress | None,
) -> bytes:
    """Hand programs and a task to a fresh process, and return its answer.

    Args:
        function: What it does with them, as `edgegraph.child.run_child` takes it.
        packed: The programs.
        task: What else the function wants to know.
        label: What to put before the messages of progress.
        cores: Run on this many cores; all where None.
        timeout_s: The process is killed when it takes longer.
        progress: Called with a message and a fraction.
    """

    def report(message: str, fraction: float | None) -> None:
        if progress is not None:
            progress(f"{label}: {message}", fraction)

    return run_child(
        function,
        packed.address(task),
        timeout_s=timeout_s,
        environment=CHILD_ENVIRONMENT,
        cores=None if cores is None else _first_cores(cores),
        progress=report,
    )


def is_recompiled(cores: int | None) -> bool:
    """Return whether a program is compiled again for this number of cores."""
    return cores is not None and len(_first_cores(cores)) != len(host.usable_cores())


def time_limit_s(packed: Parcel, measuring_s: float, *programs: Program) -> float:
    """Return the time after which a process that measures for so long must have hung."""
    compiling_s = sum(program.compile_s or 0.0 for program in programs)
    return _STARTING_S + 4 * measuring_s + 10 * compiling_s + packed.bytes / _BYTES_PER_S


def _first_cores(count: int) -> tuple[int, ...]:
    usable = host.usable_cores()
    if isinstance(count, bool) or not 1 <= count <= len(usable):
        raise InputError(f"cannot measure on {count!r} cores; this process may use {len(usable)}")
    return usable[:count]
