"""``edgegraph report``: a page to look at, the analyses beside it, and the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.complete import complete_spec
from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import (
    check_writable,
    document,
    file_name,
    print_analysis,
    print_json,
    print_study,
    study_document,
)
from edgegraph.cli.run import check_noise, interruptible, is_saved, results
from edgegraph.cli.store import StoreOption, saving_to

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis


@takes_job
def report(
    job: Job,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC",
            help="More for the same page: of each kind above, and saved sweeps, fusion studies,"
            " overlap studies and device comparisons.",
            autocompletion=complete_spec,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page; the analyses are saved beside it.")
    ] = Path("report.html"),
    store: StoreOption = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object: page, saved, analyses and studies."),
    ] = False,
) -> None:
    """Write an HTML page that shows where the time goes, and save what it shows.

    Options hold for every SPEC that is Python code.
    """
    from edgegraph.results.analysis import Analysis

    check_writable(output)
    kept: list[Path] = []
    found = []
    with interruptible(kept), saving_to(store) as keep:
        for each in _jobs(job, more or ()):
            for result in results(each):
                found.append(result)
                if isinstance(result, Analysis) and not is_saved(each):
                    kept.append(result.save(_beside(output, result, kept)))
                    keep(result)
                if json:
                    continue
                if isinstance(result, Analysis):
                    print_analysis(result)
                else:
                    print_study(result)
        from edgegraph.report.page import write_page

        write_page(found, output)
    analyses = [result for result in found if isinstance(result, Analysis)]
    if json:
        studies = [result for result in found if not isinstance(result, Analysis)]
        print_json(
            {
                "page": str(output),
                "saved": [str(path) for path in kept],
                "analyses": [document(analysis) for analysis in analyses],
                "studies": [study_document(study) for study in studies],
            }
        )
    else:
        typer.echo(f"Page: {output}" + "".join(f"\nSaved: {path}" for path in kept))
    check_noise(job, analyses)


def _jobs(job: Job, more: Sequence[str]) -> Iterator[Job]:
    """Yield a job for every SPEC; beside Python code, files are read without its options."""
    every = [replace(job, spec=spec) for spec in (job.spec, *more)]
    code = any(each.file is None for each in every)
    for each in every:
        yield Job(spec=each.spec) if code and each.file is not None else each


def _beside(page: Path, analysis: Analysis, kept: Sequence[Path]) -> Path:
    """Name a file beside the page that no analysis on it has yet."""
    path = page.parent / file_name(analysis)
    number, stem = 2, path.stem
    while path in kept:
        path, number = path.with_stem(f"{stem}_{number}"), number + 1
    return path
