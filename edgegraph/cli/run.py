"""From a job to its analyses, one after the other."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgegraph.cli.job import Job
from edgegraph.cli.output import progress
from edgegraph.cli.values import parse_assignments, parse_compiler_option, parse_depths, parse_shape
from edgegraph.errors import InputError, NoisyMeasurementError
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.reporting.presenters import Study
    from edgegraph.results.analysis import Analysis
    from edgegraph.results.timing import Latency, Throughput
    from edgegraph.workload import Workload

SAVED_SUFFIX = ".edgegraph"

_WORKLOAD_OPTIONS = {
    "batch": "--batch",
    "input_shape": "--input",
    "dtype": "--dtype",
    "arguments": "--set",
    "compiler_options": "--option",
    "target": "--target",
    "stage": "--stage",
    "measure": "--measure",
    "quick": "--quick",
    "depth": "--depth",
    "throughput": "--throughput",
    "cold": "--cold",
    "cores": "--cores",
    "trace": "--trace",
    "trace_dir": "--trace-dir",
}
"""Options, by field of `Job`, that mean nothing to a file."""


def analyses(job: Job) -> Iterator[Analysis]:
    """Yield the analysis of every batch size, each as soon as it is done.

    Raises:
        EdgeGraphError: SPEC or an option cannot be used, or the workload does not compile.
    """
    batches = _batches(job)
    path = job.file
    if path is None:
        yield from _of_workload(job, batches)
        return
    _check_file(job, path)
    if is_saved(job):
        from edgegraph.results.files import load_analysis

        yield load_analysis(path)
    else:
        from edgegraph.analysis.analyze import analyze
        from edgegraph.compiler import read_hlo

        with progress() as report:
            analysis = analyze(read_hlo(path), progress=report)
        yield analysis


def results(job: Job) -> Iterator[Analysis | Study]:
    """Yield what was saved in the file that SPEC names, or else its analyses.

    Raises:
        EdgeGraphError: As `analyses`, or the file holds a result that is not shown alone.
    """
    path = job.file
    if path is None or not is_saved(job):
        yield from analyses(job)
        return
    _check_file(job, path)
    from edgegraph.reporting.presenters import check_study
    from edgegraph.results.analysis import Analysis
    from edgegraph.results.files import load

    result = load(path)
    yield result if isinstance(result, Analysis) else check_study(result)


def is_saved(job: Job) -> bool:
    """Return whether SPEC is a saved result: by its name, by its content, or in a database."""
    path = job.file
    if path is None:
        return False
    from edgegraph.results.files import is_address

    return path.suffix == SAVED_SUFFIX or zipfile.is_zipfile(path) or is_address(path)


def _batches(job: Job) -> tuple[int, ...]:
    for batch in job.batch or ():
        if batch < 1:
            raise InputError(f"--batch must be a positive integer, not {batch}")
    return tuple(dict.fromkeys(job.batch or (1,)))


def _check_file(job: Job, path: Path) -> None:
    """Refuse what is no file, and options that would be without effect."""
    from edgegraph.results.files import is_address

    if not path.is_file() and not is_address(path):
        raise InputError(
            f"SPEC {job.spec!r} is neither a file nor package.module:attribute, such as"
            " models.cnn:small_cnn"
        )
    for name, flag in _WORKLOAD_OPTIONS.items():
        if getattr(job, name):
            raise InputError(f"{flag} has no effect on the file {path}; leave it out")


def resolve(job: Job, *, dtype: str | None = None) -> Workload:
    """Return the workload that SPEC names, with the job's arguments.

    Args:
        job: What was asked for.
        dtype: In place of the job's own, where given.
    """
    from edgegraph.workload.spec import resolve_spec

    return resolve_spec(
        job.spec,
        input_shape=None if job.input_shape is None else parse_shape(job.input_shape),
        dtype=dtype or job.dtype,
        arguments=parse_assignments("--set", job.arguments or ()),
    )


def options(job: Job) -> dict[str, str | int | float | bool]:
    """Return the compiler options that were asked for."""
    return {
        key: parse_compiler_option(text)
        for key, text in parse_assignments("--option", job.compiler_options or ()).items()
    }


def _of_workload(job: Job, batches: Sequence[int]) -> Iterator[Analysis]:
    from edgegraph import xla
    from edgegraph.analysis.analyze import analyze
    from edgegraph.measure.sampling import MeasurementSettings

    measure = _measures(job)
    depth = parse_depths(job.depth or ())
    if job.depth and not measure:
        raise InputError("--depth has no effect where nothing is timed; leave it out")
    for name in ("throughput", "cold", "cores"):
        if getattr(job, name) and not measure:
            raise InputError(f"--{name} has no effect where nothing is timed; leave it out")
    if (job.trace or job.trace_dir is not None) and not measure:
        name = "--trace" if job.trace else "--trace-dir"
        raise InputError(f"{name} needs the program to run, and nothing is timed; leave it out")
    if job.trace is False and job.trace_dir is not None:
        raise InputError("--trace-dir keeps a trace, but --no-trace takes none; leave one out")
    if measure:
        xla.set_synchronous_dispatch()
    workload = resolve(job)
    for batch in batches:
        with progress() as report:
            analysis = analyze(
                workload,
                batch=batch,
                target=job.target or "cpu",
                stage=job.stage or "optimized",
                measure=measure,
                depth=depth,
                throughput=job.throughput,
                cold=job.cold,
                cores=job.cores,
                trace=job.trace,
                trace_dir=job.trace_dir,
                settings=MeasurementSettings.quick() if job.quick else None,
                options=options(job),
                progress=report,
            )
        yield analysis


def _measures(job: Job) -> bool:
    """Return whether to measure: where it can run here, unless asked otherwise."""
    runs_here = job.target in (None, "cpu") and job.stage in (None, "optimized")
    if job.measure and not runs_here:
        raise InputError(
            f"--measure needs --target cpu and --stage optimized, not {job.target or 'cpu'} and"
            f" {job.stage or 'optimized'}; only what is compiled for this machine can run here"
        )
    return runs_here if job.measure is None else job.measure


def check_noise(job: Job, found: Sequence[Analysis]) -> None:
    """Hold the measurements against ``--strict``; call it when all results are out.

    Raises:
        NoisyMeasurementError: A measurement was not clean, or there was none.
    """
    if not job.strict:
        return
    for analysis in found:
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
        names = ", ".join(map(str, kept)) or "nothing was finished and saved"
        typer.echo(f"edgegraph: interrupted; kept: {names}", err=True)
        raise typer.Exit(130) from None
