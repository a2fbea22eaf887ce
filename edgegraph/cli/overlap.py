"""``edgegraph overlap``: what overlaps in a program, what could, and what that gains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, takes_job
from edgegraph.cli.output import (
    StudyFiles,
    check_study_file,
    print_json,
    print_rich,
    write_study,
)
from edgegraph.cli.progress import progress
from edgegraph.cli.run import options, resolve
from edgegraph.cli.store import StoreOption, saving_to
from edgegraph.errors import InputError, NoisyMeasurementError
from edgegraph.results.overlap_study import OverlapStudy


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
    from edgegraph.study.overlap import overlap_study

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
        if study.verdict != "OK":
            raise NoisyMeasurementError(
                f"the measurement of {study.workload} at batch {study.batch} is {study.verdict};"
                " quiet the machine and run it again"
            )


def _present(study: OverlapStudy, paths: list[Path], json: bool) -> None:
    if json:
        print_json(study.document)
    else:
        from edgegraph.report.overlap_table import overlap_table

        print_rich(overlap_table(study))
    for path in paths:
        write_study(study, path)
