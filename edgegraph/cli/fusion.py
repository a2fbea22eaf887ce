"""``edgegraph fusion``: what fusing operations into one kernel brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, takes_job
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    check_study_file,
    print_json,
    print_rich,
    write_study,
)
from edgegraph.cli.progress import progress
from edgegraph.cli.run import interruptible, is_saved, options, resolve
from edgegraph.cli.store import StoreOption, saving_to
from edgegraph.cli.values import a_or_an
from edgegraph.errors import InputError, NoisyMeasurementError

if TYPE_CHECKING:
    from edgegraph.results.fusion_study import FusionStudy


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
                from edgegraph.report.fusion_table import fusion_tables

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
    from edgegraph.study.fusion import fusion_study

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
    from edgegraph.results.fusion_study import FusionStudy

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
            if step.verdict in (None, "NOISY"):
                said = step.comparison.reasons[0] if step.comparison else "it was not measured"
                raise NoisyMeasurementError(
                    f"{step.name} at batch {study.batch} allows no verdict ({said}); quiet the"
                    " machine and run it again"
                )
