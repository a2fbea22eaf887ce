"""``edgegraph scaling``: what more chips bring, and where the network binds."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, takes_job
from edgegraph.cli.output import (
    StudyFiles,
    check_study_file,
    print_json,
    print_study,
    write_study,
)
from edgegraph.cli.progress import progress
from edgegraph.cli.run import options, resolve
from edgegraph.cli.store import StoreOption, saving_to
from edgegraph.errors import EdgeGraphError, InputError

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
    from edgegraph.study.scaling import scaling_study

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
