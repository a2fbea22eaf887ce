"""``edgegraph report``, ``plot`` and ``export``: pages, figures, files for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegraph.base.files import check_writable, is_stream
from edgegraph.cli.completion import complete_spec
from edgegraph.cli.job import (
    Job,
    JsonFiles,
    StoreOption,
    grouped_options,
    saving_to,
)
from edgegraph.cli.output import (
    FIGURE_SUFFIXES,
    ByOption,
    ForceOption,
    check_by,
    file_name,
    files_option,
    holds_program_of,
    outlives,
    print_json,
    print_lines,
    print_result,
)
from edgegraph.cli.run import analyses, check_noise, interruptible, is_saved, jobs, results
from edgegraph.errors import InputError
from edgegraph.results.kinds import KINDS, figure_places

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis
    from edgegraph.results.base import Shown


@grouped_options()
def report(
    job: Job,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC",
            help="More for the same page: of each kind above, and saved sweeps, studies and device"
            " comparisons.",
            autocompletion=complete_spec,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page; the analyses are saved beside it.")
    ] = Path("report.html"),
    force: ForceOption = False,
    by: ByOption = None,
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

    check_by(by)
    check_writable(output)
    kept: list[Path] = []
    found: list[Shown] = []
    with interruptible(kept), saving_to(store) as keep:
        for each in jobs(job, *more or ()):
            for result in results(each, by):
                found.append(result)
                if isinstance(result, Analysis) and not is_saved(each):
                    if not is_stream(output):  # which has nothing beside it
                        kept.append(result.save(_beside(output, result, kept, force=force)))
                    keep(result)
                if not json:
                    print_result(result, json=False)
        _write_page(found, output, kept, json=json)
    check_noise(job, [result for result in found if isinstance(result, Analysis)])


def _write_page(found: Sequence[Shown], output: Path, kept: Sequence[Path], *, json: bool) -> None:
    """Write the page, and say where it is and what is saved beside it."""
    from edgegraph.reporting import page
    from edgegraph.results.analysis import Analysis

    page.report(found, output)
    if not json:
        print_lines(f"Page: {output}", *(f"Saved: {path}" for path in kept))
        return
    print_json(
        {
            "page": str(output),
            "saved": [str(path) for path in kept],
            "analyses": [each.document for each in found if isinstance(each, Analysis)],
            "studies": [each.document for each in found if not isinstance(each, Analysis)],
        }
    )


def _beside(page: Path, analysis: Analysis, kept: Sequence[Path], *, force: bool = False) -> Path:
    """Name a file beside the page that no analysis on it has yet, nor one of another page.

    What was measured stays, unless it is forced away.
    """
    path = page.parent / file_name(analysis)
    own = path.with_stem(f"{page.stem}_{path.stem}")
    if own.exists() or (
        path not in kept
        and path.exists()
        and not (page.exists() and holds_program_of(path, analysis))
    ):
        path = own
    number, stem = 2, path.stem
    while path in kept or (not force and outlives(path, analysis)):
        path, number = path.with_stem(f"{stem}_{number}"), number + 1
    return path


FIGURES = tuple(figure_places())
WIDTHS = ("column", "page")


def complete_kind(incomplete: str) -> list[str]:
    """Offer the kinds of figures, and what can stand in their place."""
    kinds = [kind for kind in FIGURES if kind.startswith(incomplete)]
    return kinds + complete_spec(incomplete)


@grouped_options(
    spec=Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help=f"The figure: {', '.join(FIGURES)}. Left out, it is the one that fits the file.",
            autocompletion=complete_kind,
        ),
    ]
)
def plot(
    job: Job,
    of: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|SPEC",
            help="What to draw: a saved analysis, sweep or study, or what can be analysed.",
            autocompletion=complete_spec,
            show_default=False,
        ),
    ] = None,
    output: Annotated[list[Path] | None, files_option(FIGURE_SUFFIXES)] = None,
    width: Annotated[
        str,
        typer.Option(
            metavar="|".join(WIDTHS),
            help="column: 3.3 inches, one of a paper's two; page: 7 inches.",
            autocompletion=lambda: list(WIDTHS),
        ),
    ] = "column",
    json: JsonFiles = False,
) -> None:
    """Draw a figure of a saved result, or of a SPEC that is analysed first."""
    kind, job = _kind(job, of)
    if not output:
        raise InputError("-o names no file; give one that ends in .png, .svg or .pdf")
    if width not in WIDTHS:
        raise InputError(f"--width {width!r} is unknown; choose one of: {', '.join(WIDTHS)}")
    from edgegraph import plot as figures
    from edgegraph.reporting.figure import figure_format

    for path in output:
        figure_format(path)
        check_writable(path)
    result = _result(job, kind)
    inches = figures.COLUMN_INCHES if width == "column" else figures.PAGE_INCHES
    ax = figures.draw(result, kind, width=inches)
    _print_written([figures.save(ax, path) for path in output], json=json)


def _kind(job: Job, of: str | None) -> tuple[str | None, Job]:
    """Return the kind of figure, None where it is left out, and the job of what it shows."""
    kind = None if of is None else job.spec
    if kind is not None and kind not in FIGURES:
        raise InputError(f"there is no figure {kind!r}; choose one of: {', '.join(FIGURES)}")
    if of is None and job.spec in FIGURES and not Path(job.spec).exists():
        raise InputError(f"{job.spec}: a figure needs a saved file or a SPEC after its kind")
    return kind, replace(job, spec=of or job.spec)


def _print_written(paths: Sequence[Path], *, json: bool) -> None:
    if json:
        print_json([str(path) for path in paths])
    else:
        print_lines(*(f"Written: {path}" for path in paths))


def _result(job: Job, kind: str | None) -> Any:
    """Load what a file holds, or analyse what SPEC names."""
    if is_saved(job):
        from edgegraph.results.files import load

        return load(job.spec)
    of = next((each for each in KINDS.values() if kind in each.figures), None)
    if of is not None and of.word != "analysis":
        raise InputError(
            f"{kind} shows a saved result, but {job.spec!r} is not one; make one with"
            f" `edgegraph {of.command} {job.spec} -o FILE.edgegraph`"
        )
    job.check_one_batch("a figure shows one analysis")
    (analysis,) = analyses(job)
    check_noise(job, [analysis])
    return analysis


FORMATS = (
    "csv", "ops-csv", "parquet", "markdown", "latex", "json", "schema", "graphml", "dot",
    "model-explorer", "model-explorer-data", "chrome-trace",
)  # fmt: skip


@grouped_options(without=("depth",))
def export(
    job: Job,
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file; its ending names the format; repeatable.",
        ),
    ],
    by: ByOption = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Where the ending does not tell: {', '.join(FORMATS)}.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    json: JsonFiles = False,
) -> None:
    """Write an analysis as CSV, Parquet, JSON, GraphML, DOT, Markdown, LaTeX, ...

    .csv .ops.csv .parquet .md .tex .json .schema.json .graphml .dot .model-explorer.json
    .node-data.json .trace.json
    """
    from edgegraph.reporting import exports

    check_by(by)
    job.check_one_batch("a file holds one analysis")
    if format is not None and format not in exports.EXPORTS:
        raise InputError(f"--format {format!r} is unknown; choose one of: {', '.join(FORMATS)}")
    for path in output:
        if format is None:
            exports.format_of(path)
        check_writable(path)
    (analysis,) = analyses(job, by)
    _print_written([exports.export(analysis, path, format) for path in output], json=json)
    check_noise(job, [analysis])
