"""``edgegraph export``: an analysis for other tools."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import check_writable, print_json
from edgegraph.cli.run import analyses, check_noise
from edgegraph.errors import InputError

FORMATS = (
    "csv", "ops-csv", "parquet", "markdown", "latex", "json", "schema", "graphml", "dot",
    "model-explorer", "model-explorer-data", "chrome-trace",
)  # fmt: skip


@partial(takes_job, without=("depth",))
def export(
    job: Job,
    output: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="The file; its ending names the format; repeatable."),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Where the ending does not tell: {', '.join(FORMATS)}.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the files as a JSON list.")] = False,
) -> None:
    """Write an analysis as CSV, Parquet, JSON, GraphML, DOT, Markdown, LaTeX, ...

    .csv .ops.csv .parquet .md .tex .json .schema.json .graphml .dot .model-explorer.json
    .node-data.json .trace.json
    """
    from edgegraph.report import exports

    if len(set(job.batch or ())) > 1:
        raise InputError("a file holds one analysis; give one --batch")
    if format is not None and format not in exports.EXPORTS:
        raise InputError(f"--format {format!r} is unknown; choose one of: {', '.join(FORMATS)}")
    for path in output:
        if format is None:
            exports.format_of(path)
        check_writable(path)
    (analysis,) = analyses(job)
    written = [str(exports.export(analysis, path, format)) for path in output]
    if json:
        print_json(written)
    else:
        typer.echo("\n".join(f"Written: {path}" for path in written))
    check_noise(job, [analysis])
