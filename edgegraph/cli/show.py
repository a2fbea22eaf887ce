"""``edgegraph show``: a saved analysis as a tree of layers, or its ops."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import document, print_json, print_rich
from edgegraph.cli.run import analyses, check_noise

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
    """Show a saved analysis (or a SPEC) in the terminal: layers as a tree, or ops."""
    from edgegraph.report.show_table import MOST_OPS, shown_layers, shown_ops

    found = []
    for analysis in analyses(job):
        found.append(analysis)
        if json:
            print_json(document(analysis))
        elif ops:
            most = None if everything else MOST_OPS
            print_rich(shown_ops(analysis, sort=sort, phase=phase, most=most))
        else:
            print_rich(shown_layers(analysis, depth=depth, sort=sort, phase=phase))
    check_noise(job, found)
