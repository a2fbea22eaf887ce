"""``edgegraph fit``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli import run
from edgegraph.cli.job import CODE_ONLY, Job, StoreOption, grouped_options, parse_sizes, saving_to
from edgegraph.cli.output import STUDY_SUFFIXES, StudyFiles, check_files, present_study, progress

if TYPE_CHECKING:
    from edgegraph.studies.fit.result import Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is to fit into, and what may be chosen."""

    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of a chip: 16GB, 64GiB. Default: what it has."),
    ] = None
    mesh: Annotated[
        str, typer.Option("--mesh", metavar="N,N,...", help="Chips that share the batch.")
    ] = "1"
    batch: Annotated[
        str | None,
        typer.Option("--batch", "-b", help="Batch sizes over all chips. Default: powers of two."),
    ] = None
    plans: Annotated[int, typer.Option(help="How many plans are compiled.")] = 10


@grouped_options(without=("batch", "stage", "measure", "strict", "compiler_options", *CODE_ONLY))
def fit(
    job: Job,
    room: Room,
    output: StudyFiles = None,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the study as a JSON object.")] = False,
) -> None:
    """Find the batch, the mesh, and what to keep and recompute, so that a step fits and is fastest.

    Plans are made by an integer program over the distinct layers of the loss, and the best are
    compiled and checked by the compiler's own figure of memory. Nothing is run.
    """
    from edgegraph.studies.fit.result import Fit

    check_files(output or (), STUDY_SUFFIXES)
    if run.is_saved(job):
        present_study(run.load_saved(job, Fit), output or (), json=json)
        return
    run.check_is_code(job, "the study compiles the step in several ways")
    with saving_to(store) as keep:
        found = _found(job, room)
        try:
            keep(found)
        finally:
            present_study(found, output or (), json=json)


def _found(job: Job, room: Room) -> Fit:
    from edgegraph.studies.fit.run import fit as find

    with progress() as report:
        return find(
            run.resolve(job),
            target=job.target or "tpu:v5e",
            memory=room.memory,
            batches=None if room.batch is None else parse_sizes("--batch", room.batch),
            meshes=parse_sizes("--mesh", room.mesh),
            most=room.plans,
            progress=report,
        )
