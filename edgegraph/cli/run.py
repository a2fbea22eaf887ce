"""From a job to its analyses, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from edgegraph.cli.ending import say
from edgegraph.cli.inputs import parse_inputs
from edgegraph.cli.job import (
    Job,
    flag,
    parse_assignments,
    parse_compiler_option,
    parse_depths,
)
from edgegraph.cli.output import progress
from edgegraph.doors.registry import Door, Given, find_door
from edgegraph.doors.registry import open as open_thing
from edgegraph.errors import INTERRUPTED, NOTHING, InputError, NoisyMeasurementError
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.compiler.program import Program
    from edgegraph.measure.sampling import MeasurementSettings
    from edgegraph.results.analysis import Analysis
    from edgegraph.results.base import Shown
    from edgegraph.results.timing import Latency, Throughput
    from edgegraph.workload import Workload

SAVED_SUFFIX = ".edgegraph"

_Saved = TypeVar("_Saved")


def jobs(job: Job, *more: str) -> Iterator[Job]:
    """Yield a job for every SPEC; beside Python code, files are read without its options."""
    every = [replace(job, spec=spec) for spec in (job.spec, *more)]
    code = any(each.file is None for each in every)
    for each in every:
        yield Job(spec=each.spec) if code and each.file is not None else each


def results(job: Job, by: str | None = None) -> Iterator[Shown]:
    """Yield what SPEC names: a saved result, or the analysis of every batch size once done.

    Analyses are shown `by` that, where it is given.
    """
    from edgegraph.results.analysis import Analysis

    for result in _results(job):
        if by is not None and isinstance(result, Analysis):
            result = replace(result, shown_by=by)
        yield result


def _results(job: Job) -> Iterator[Shown]:
    given = Given(job.spec)
    door = find_door(given)
    if door.compiled:
        yield from _of_workload(job)
        return
    _check_file(job, door, *(() if door.saved else ("device", "trips", "params")))
    if door.saved:
        from edgegraph.results.kinds import presenter_of

        result = open_thing(job.spec)
        presenter_of(result)
        yield result
    else:
        from edgegraph.analysis.analyze import analyze

        with progress() as report:
            analysis = analyze(
                job.spec,
                module=job.module,
                device=job.device,
                trips=trips(job),
                params=params(job),
                progress=report,
            )
        yield analysis


def analyses(job: Job, by: str | None = None) -> Iterator[Analysis]:
    """Yield the same where that are analyses; refuse anything else."""
    from edgegraph.results.analysis import Analysis

    for result in results(job, by):
        yield _checked(job, result, Analysis)


def is_saved(job: Job) -> bool:
    """Return whether SPEC is a saved result: by its name, by its content, or in a database."""
    from edgegraph.doors import saved

    return job.file is not None and saved.is_saved(Given(job.spec))


def load_saved(job: Job, kind: type[_Saved]) -> _Saved:
    """Return the saved result that SPEC names; refuse one of another kind."""
    _check_file(job, find_door(Given(job.spec)))
    from edgegraph.results.files import load

    return _checked(job, load(job.spec), kind)


def _checked(job: Job, result: object, kind: type[_Saved]) -> _Saved:
    if not isinstance(result, kind):
        raise InputError(f"{job.spec} contains {_named(type(result))}; expected {_named(kind)}")
    return result


def _named(kind: type) -> str:
    """Return the name of a type with its article: ``an Analysis``."""
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def _check_file(job: Job, door: Door, *more: str) -> None:
    """Refuse options that would be without effect on a file."""
    kept = {"spec", "strict", *door.choices, *more}
    _check_options(job, *(field.name for field in fields(Job) if field.name not in kept))


def _check_options(job: Job, *names: str) -> None:
    """Refuse options that have no effect on a file, or on what is compiled already."""
    what = "what is compiled already," if job.file is None else "the file"
    for name in names:
        if getattr(job, name):
            raise InputError(f"{flag(name)} has no effect on {what} {job.spec}; leave it out")


def check_is_code(job: Job, reason: str) -> None:
    """Refuse a SPEC that is compiled already, for the reason given."""
    if not find_door(Given(job.spec)).compiled:
        raise InputError(
            f"SPEC {job.spec!r} is not package.module:attribute; {reason}, so it needs the Python"
            " code"
        )


def resolve(job: Job, *, dtype: str | None = None) -> Workload:
    """Return the workload that SPEC names, with the job's arguments; `dtype` replaces its own.

    Raises:
        InputError: It names something else, or what is compiled already.
    """
    from edgegraph.compiler.program import Program

    found = _resolved(job, dtype)
    if isinstance(found, Program):
        raise InputError(
            f"{job.spec} is compiled already, and this compiles it anew; name the function"
        )
    return found


def _resolved(job: Job, dtype: str | None = None) -> Workload | Program:
    """Return what SPEC names; a Program where Python holds what is compiled."""
    from edgegraph.compiler.program import Program

    sizes = job.sizes
    if job.file is not None:
        _check_options(job, "input_shape", "dtype", "arguments", "method", "args")
        from edgegraph.workload import Workload

        made = _checked(job, open_thing(job.spec), Workload)
        return made.at(**sizes)
    found: Workload | Program = open_thing(
        job.spec,
        input_shape=parse_inputs(job.input_shape) if job.input_shape else None,
        dtype=dtype or job.dtype,
        arguments=parse_assignments("--set", job.arguments or ()),
        method=job.method,
        args=_arguments(job),
    )
    if isinstance(found, Program):
        _check_options(job, "batch", "axes", "compiler_options", "target", "stage")
        return found
    return found.at(**sizes) if sizes else found


def _arguments(job: Job) -> dict[str, Any] | None:
    """Return the arguments of a function by name; None where none are given."""
    if not job.args:
        return None
    from edgegraph.workload.arguments import read_arguments

    return read_arguments(job.args)


def subject(job: Job) -> Workload | Program:
    """Return the workload that SPEC names, or the program in a file that is compiled already."""
    from edgegraph.compiler.program import Program

    door = find_door(Given(job.spec))
    if door.compiled:
        return _resolved(job)
    _check_file(job, door)
    return _checked(job, open_thing(job.spec, module=job.module), Program)


def options(job: Job) -> dict[str, str | int | float | bool]:
    """Return the compiler options that were asked for."""
    return {
        key: parse_compiler_option(text)
        for key, text in parse_assignments("--option", job.compiler_options or ()).items()
    }


def choices(job: Job) -> dict[str, Any]:
    """Return the keywords of `edgegraph.open` that were asked for."""
    named = {
        "input_shape": parse_inputs(job.input_shape) if job.input_shape else None,
        "dtype": job.dtype,
        "method": job.method,
        "arguments": parse_assignments("--set", job.arguments or ()),
    }
    return {name: value for name, value in named.items() if value}


def trips(job: Job) -> dict[str, int]:
    """Return how often loops of unknown length run.

    Raises:
        InputError: A number is none.
    """
    said = parse_assignments("--trips", job.trips or ())
    for name, times in said.items():
        if not times.isdecimal():
            raise InputError(f"--trips {name}={times}: {times!r} is no number of iterations")
    return {name: int(times) for name, times in said.items()}


def params(job: Job) -> str | int | None:
    """Return which argument holds the parameters: its position where that is a number."""
    said = job.params
    return int(said) if said is not None and said.isdecimal() else said


def settings(job: Job) -> MeasurementSettings | None:
    """Return how to measure with ``--quick`` or ``--seconds``; None for the usual care."""
    from edgegraph.measure.sampling import MeasurementSettings

    if job.seconds is not None and not job.seconds > 0:
        raise InputError(f"--seconds {job.seconds:g} must be positive")
    chosen = MeasurementSettings.quick() if job.quick else MeasurementSettings()
    if job.seconds is not None:
        return replace(chosen, budget_s=job.seconds)
    return chosen if job.quick else None


def _of_workload(job: Job) -> Iterator[Analysis]:
    from edgegraph import xla
    from edgegraph.analysis.analyze import analyze
    from edgegraph.compiler.program import Program

    batches: Sequence[int | None] = job.batches
    measure = _measures(job)
    _check_timed(job, measure)
    if measure:
        xla.set_synchronous_dispatch()
    found = _resolved(job)
    compiled = isinstance(found, Program)
    if job.module or (job.device and not compiled):
        raise InputError(
            f"--module and --device are for what is compiled already, and {job.spec} is compiled"
            " here; --target device:NAME gives it the roofs of another device"
        )
    for batch in (None,) if compiled else batches:
        with progress() as report:
            analysis = analyze(
                found,
                batch=batch,
                device=job.device,
                target=job.target or "cpu",
                stage=job.stage or "optimized",
                measure=measure,
                depth=parse_depths(job.depth or ()),
                throughput=job.throughput,
                cold=job.cold,
                cores=job.cores,
                trace=job.trace,
                trace_dir=job.trace_dir,
                settings=settings(job),
                options=options(job),
                trips=trips(job),
                params=params(job),
                progress=report,
                counted=report.preview,
            )
        yield analysis


def runs_here(job: Job) -> bool:
    """Return whether what is compiled can run on this machine."""
    return job.target in (None, "cpu") and job.stage in (None, "optimized")


def _measures(job: Job) -> bool:
    """Return whether to measure: where it can run here, unless asked otherwise."""
    if job.measure and not runs_here(job):
        raise InputError(
            f"--measure needs --target cpu and --stage optimized, not {job.target or 'cpu'} and"
            f" {job.stage or 'optimized'}; only what is compiled for this machine can run here"
        )
    return runs_here(job) if job.measure is None else job.measure


def _check_timed(job: Job, measure: bool) -> None:
    """Refuse options about timing where nothing is timed."""
    if not measure:
        for name in ("depth", "seconds", "throughput", "cold", "cores"):
            if getattr(job, name):
                raise InputError(f"{flag(name)} has no effect where nothing is timed; leave it out")
        for name in ("trace", "trace_dir"):
            if getattr(job, name):
                raise InputError(
                    f"{flag(name)} needs the program to run, and nothing is timed; leave it out"
                )
    if job.trace is False and job.trace_dir is not None:
        raise InputError("--trace-dir keeps a trace, but --no-trace takes none; leave one out")


def check_noise(job: Job, found: Sequence[Analysis]) -> None:
    """Hold the measurements against ``--strict``; call it when all results are out."""
    for analysis in found if job.strict else ():
        at = f"{analysis.workload} at batch {analysis.batch}"
        if analysis.latency is None:
            raise NoisyMeasurementError(f"{at} was not measured, which --strict asks for")
        every: list[Latency | Throughput] = [analysis.latency, *analysis.other_latencies]
        for measured in every + list(analysis.throughputs):
            if measured.verdict != OK:
                raise NoisyMeasurementError(
                    f"the measurement of {at} is {measured.verdict}"
                    f" ({'; '.join(measured.reasons)}); quiet the machine and run it again"
                )


@contextmanager
def interruptible(kept: Sequence[Path]) -> Iterator[None]:
    """On Ctrl-C, say what was kept on disk, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        exit_interrupted(", ".join(map(str, kept)) or NOTHING)


def exit_interrupted(kept: str) -> NoReturn:
    """Say what is left of an interrupted command, and exit with 130."""
    say(f"interrupted; kept: {kept}")
    raise typer.Exit(INTERRUPTED) from None
