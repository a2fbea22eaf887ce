"""``edgegraph show``: a saved analysis as a tree of layers, or its ops; a study as its tables."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import (
    document,
    print_json,
    print_rich,
    print_study,
    study_document,
)
from edgegraph.cli.run import check_noise, results
from edgegraph.errors import InputError

SORTS = ("time", "flops", "macs", "bytes")


@partial(takes_job, without=("depth",))
def show(
    job: Job,
    depth: Annotated[
        int | None, typer.Option(help="Levels below the top; all where not given.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(SORTS),
            help="The largest first; the model's order where not given.",
            autocompletion=lambda: list(SORTS),
        ),
    ] = None,
    phase: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only that phase: forward, backward, rematerialised or update.",
            autocompletion=lambda: ["forward", "backward", "rematerialised", "update"],
        ),
    ] = None,
    ops: Annotated[bool, typer.Option("--ops", help="Single ops, the longest first.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --ops: all of them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
) -> None:
    """Show a saved analysis (or a SPEC) in the terminal: layers as a tree, or ops.

    Of a saved sweep, fusion study, overlap study or device comparison: its tables.
    """
    from edgegraph.report.show_table import MOST_OPS, shown_layers, shown_ops
    from edgegraph.results.analysis import Analysis

    found = []
    for analysis in results(job):
        if not isinstance(analysis, Analysis):
            _refuse(job, depth=depth, sort=sort, phase=phase, ops=ops, all=everything)
            if json:
                print_json(study_document(analysis))
            else:
                print_study(analysis)
            continue
        found.append(analysis)
        if json:
            print_json(document(analysis))
        elif ops:
            most = None if everything else MOST_OPS
            print_rich(shown_ops(analysis, sort=sort, phase=phase, most=most))
        else:
            print_rich(shown_layers(analysis, depth=depth, sort=sort, phase=phase))
    check_noise(job, found)


def _refuse(job: Job, **options: object) -> None:
    """Refuse options about layers and ops, which a study does not have."""
    for name, value in options.items():
        if value is not None and value is not False:
            raise InputError(
                f"--{name} chooses layers or ops of an analysis, and {job.spec} holds none; leave"
                " it out"
            )
