"""``edgegraph analyze``: the layer table, the findings, or all figures as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import check_writable, document, file_name, print_analysis, print_json
from edgegraph.cli.run import SAVED_SUFFIX, analyses, check_noise, interruptible
from edgegraph.cli.store import StoreOption, saving_to
from edgegraph.errors import InputError


@takes_job
def analyze(
    job: Job,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Save there: a .edgegraph file, or a folder for several batches."
        ),
    ] = None,
    store: StoreOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on one line for every batch size.")
    ] = False,
) -> None:
    """Print what every layer costs, what bounds it and how long it takes."""
    to_file = output is not None and output.suffix == SAVED_SUFFIX
    if to_file and len(set(job.batch or ())) > 1:
        raise InputError(
            f"-o {output} is one file, but several batches were asked for; name a folder"
        )
    if output is not None:
        check_writable(output if to_file else output / f"any{SAVED_SUFFIX}")
    kept: list[Path] = []
    found = []
    with interruptible(kept), saving_to(store) as keep:
        for analysis in analyses(job):
            found.append(analysis)
            if output is not None:
                kept.append(analysis.save(output if to_file else output / file_name(analysis)))
            if json:
                print_json(document(analysis))
            else:
                print_analysis(analysis)
            keep(analysis)
    check_noise(job, found)
