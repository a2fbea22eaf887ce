"""``edgegraph report``: a page to look at, the analyses beside it, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import check_writable, document, file_name, print_analysis, print_json
from edgegraph.cli.run import analyses, check_noise, interruptible, is_saved
from edgegraph.cli.store import StoreOption, keeping


@takes_job
def report(
    job: Job,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page; the analyses are saved beside it.")
    ] = Path("report.html"),
    store: StoreOption = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object: page, saved and analyses."),
    ] = False,
) -> None:
    """Write an HTML page that shows where the time goes, and save what it shows."""
    check_writable(output)
    kept: list[Path] = []
    found = []
    with interruptible(kept), keeping(store) as keep:
        for analysis in analyses(job):
            found.append(analysis)
            if not is_saved(job):
                kept.append(analysis.save(output.parent / file_name(analysis)))
                keep(analysis)
            if not json:
                print_analysis(analysis)
        from edgegraph.report.page import write_page

        write_page(found, output)
    if json:
        print_json(
            {
                "page": str(output),
                "saved": [str(path) for path in kept],
                "analyses": [document(analysis) for analysis in found],
            }
        )
    else:
        typer.echo(f"Page: {output}" + "".join(f"\nSaved: {path}" for path in kept))
    check_noise(job, found)
