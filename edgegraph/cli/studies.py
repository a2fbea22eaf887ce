"""``edgegraph fusion``, ``overlap`` and ``scaling``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, StoreOption, saving_to, takes_job
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    StudyFiles,
    check_study_file,
    print_json,
    print_rich,
    print_study,
    progress,
    write_study,
)
from edgegraph.cli.run import interruptible, is_saved, options, resolve
from edgegraph.cli.values import a_or_an
from edgegraph.errors import EdgeGraphError, InputError, NoisyMeasurementError
from edgegraph.results.verdicts import NOISY, OK
from edgegraph.studies.overlap.result import OverlapStudy

if TYPE_CHECKING:
    from edgegraph.studies.fusion.result import FusionStudy


PROCESSES, QUICK_PROCESSES = 7, 3


@partial(takes_job, without=("target", "stage", *TIMED_TOO))
def fusion(
    job: Job,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help=f"Write there, by ending: {', '.join(STUDY_SUFFIXES)}; repeatable. With several"
            " batches every file is named by its batch too.",
        ),
    ] = None,
    store: StoreOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on one line for every batch size.")
    ] = False,
) -> None:
    """Compile with full fusion, without library fusion and without any, and compare.

    Kernels, bytes and latency of each, by layer and in total; what every fusion saves and what
    it computes twice; and whether fusion helps, hurts, or makes no difference.
    """
    paths = output or []
    batches = tuple(dict.fromkeys(job.batch or (1,)))
    named = {batch: [_named(path, batch, len(batches) > 1) for path in paths] for batch in batches}
    for path in [path for every in named.values() for path in every]:
        check_study_file(path)
    kept: list[Path] = []
    studies = []
    with interruptible(kept), saving_to(store) as keep:
        for study in _studies(job, batches):
            studies.append(study)
            if json:
                print_json(study.document)
            else:
                from edgegraph.studies.fusion.present import fusion_tables

                print_rich(fusion_tables(study))
            here = named.get(study.batch or 1, paths)
            kept.extend(write_study(study, path) for path in here)
            if not is_saved(job):
                keep(study)
    _check(job, studies)


def _studies(job: Job, batches: Sequence[int]) -> Iterator[FusionStudy]:
    """Yield the saved study that SPEC names, or make one for every batch size."""
    if is_saved(job):
        yield _saved(job)
        return
    if job.file is not None:
        raise InputError(
            f"SPEC {job.spec!r} is not package.module:attribute; the study compiles the workload"
            " with several options, so it needs the Python code"
        )
    from edgegraph.measure.sampling import MeasurementSettings
    from edgegraph.studies.fusion.run import fusion_study

    workload = resolve(job)
    for batch in batches:
        with progress() as report:
            study = fusion_study(
                workload,
                batch=batch,
                options=options(job),
                measure=job.measure is not False,
                processes=QUICK_PROCESSES if job.quick else PROCESSES,
                settings=MeasurementSettings.quick() if job.quick else None,
                progress=report,
            )
        yield study


def _saved(job: Job) -> FusionStudy:
    from edgegraph.results.files import load
    from edgegraph.studies.fusion.result import FusionStudy

    study = load(job.spec)
    if not isinstance(study, FusionStudy):
        raise InputError(
            f"{job.spec} contains {a_or_an(type(study).__name__)}; expected a FusionStudy"
        )
    return study


def _named(path: Path, batch: int, several: bool) -> Path:
    """Return a path for the files of one of several batches: ``fusion_b32.png``."""
    return path.with_stem(f"{path.stem}_b{batch}") if several else path


def _check(job: Job, studies: Sequence[FusionStudy]) -> None:
    """Hold the studies against ``--strict``."""
    for study in studies if job.strict else ():
        for step in study.steps:
            if step.verdict in (None, NOISY):
                said = step.comparison.reasons[0] if step.comparison else "it was not measured"
                raise NoisyMeasurementError(
                    f"{step.name} at batch {study.batch} allows no verdict ({said}); quiet the"
                    " machine and run it again"
                )


@partial(takes_job, without=("target", "stage", "measure", *TIMED_TOO))
def overlap(
    job: Job,
    output: StudyFiles = None,
    store: StoreOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on one line for every batch size.")
    ] = False,
) -> None:
    """Measure what overlaps: arithmetic and data, calls in flight, host input and device.

    Every layer's time is held against its bracket, from perfect to no overlap of its arithmetic
    with its data. The input pipeline is the workload's own.
    """
    paths = output or []
    batches = tuple(dict.fromkeys(job.batch or (1,)))
    for path in paths:
        if len(batches) > 1:
            raise InputError(f"-o {path} is one file, but several batches were asked for")
        check_study_file(path)
    if job.file is not None:
        raise InputError(
            f"SPEC {job.spec!r} is not package.module:attribute; what overlaps has to be run, which"
            " needs the Python code"
        )
    workload = resolve(job)
    from edgegraph.measure.sampling import MeasurementSettings
    from edgegraph.studies.overlap.run import overlap_study

    studies = []
    with saving_to(store) as keep:
        for batch in batches:
            with progress() as report:
                study = overlap_study(
                    workload,
                    batch=batch,
                    options=options(job),
                    settings=MeasurementSettings.quick() if job.quick else None,
                    progress=report,
                )
            studies.append(study)
            _present(study, paths, json)
            keep(study)
    for study in studies if job.strict else ():
        if study.verdict != OK:
            raise NoisyMeasurementError(
                f"the measurement of {study.workload} at batch {study.batch} is {study.verdict};"
                " quiet the machine and run it again"
            )


def _present(study: OverlapStudy, paths: list[Path], json: bool) -> None:
    if json:
        print_json(study.document)
    else:
        from edgegraph.studies.overlap.present import overlap_table

        print_rich(overlap_table(study))
    for path in paths:
        write_study(study, path)


PARALLEL = ("data", "tensor", "both")


@partial(
    takes_job, without=("batch", "stage", "measure", "trace", "trace_dir", "strict", *TIMED_TOO)
)
def scaling(
    job: Job,
    chips: Annotated[
        str, typer.Option("--chips", metavar="N,N,...", help="Numbers of chips.")
    ] = "1,2,4,8",
    parallel: Annotated[
        str,
        typer.Option(
            help="data: the batch is split. tensor: kernels are. both: kernels over as many chips"
            " as --tensor says, the batch over the rest.",
            autocompletion=lambda: list(PARALLEL),
        ),
    ] = "data",
    tensor: Annotated[
        int, typer.Option("--tensor", metavar="N", help="Chips that a kernel is split over.")
    ] = 2,
    batch: Annotated[
        int | None,
        typer.Option("--batch", "-b", help="Batch over all chips: strong scaling."),
    ] = None,
    batch_per_chip: Annotated[
        int | None,
        typer.Option("--batch-per-chip", help="Batch of each chip: weak scaling. Default: 1."),
    ] = None,
    output: StudyFiles = None,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the study as a JSON object.")] = False,
) -> None:
    """Compile a workload over meshes of chips: what they exchange, wait for, and gain.

    Chips that are not here are compiled for ahead of time (--target tpu:v5e, gpu:h100); on cpu
    they are made of this host's cores and the step is measured.
    """
    paths = output or []
    for path in paths:
        check_study_file(path)
    if job.file is not None:
        raise InputError(
            f"SPEC {job.spec!r} is not package.module:attribute; spreading a program over chips"
            " needs the Python code"
        )
    meshes = _meshes(chips, parallel, tensor)
    workload = resolve(job)
    from edgegraph.measure.sampling import MeasurementSettings
    from edgegraph.studies.scaling.run import scaling_study

    with saving_to(store) as keep, progress() as report:
        study = scaling_study(
            workload,
            meshes,
            target=job.target or "tpu:v5e",
            batch=batch,
            batch_per_chip=batch_per_chip,
            options=options(job),
            settings=MeasurementSettings.quick() if job.quick else None,
            progress=report,
        )
        keep(study)
    errors = [point for point in study.points if point.error is not None]
    if len(errors) == len(study.points):
        raise EdgeGraphError(f"no mesh has figures; {errors[0].mesh}: {errors[0].error}")
    if json:
        print_json(study.document)
    else:
        print_study(study)
    for path in paths:
        write_study(study, path)


def _meshes(chips: str, parallel: str, tensor: int) -> list[tuple[int, int]]:
    try:
        counts = [int(part) for part in chips.split(",")]
    except ValueError:
        raise InputError(
            f"--chips {chips!r} is not a list of numbers; expected, for example, 1,4,16,64"
        ) from None
    if min(counts) < 1:
        raise InputError(f"--chips must be positive integers, not {chips!r}")
    if parallel not in PARALLEL:
        raise InputError(f"--parallel {parallel!r} is unknown; choose {', '.join(PARALLEL)}")
    if parallel == "data":
        return [(count, 1) for count in counts]
    if parallel == "tensor":
        return [(1, count) for count in counts]
    if any(count > 1 and count % tensor for count in counts):
        raise InputError(f"--tensor {tensor} does not divide --chips {chips} evenly")
    return [(count // tensor, tensor) if count > 1 else (1, 1) for count in counts]
