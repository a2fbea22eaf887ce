"""``edgegraph plot``: a figure of what a file holds, for a paper."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edgegraph.cli.complete import complete_spec
from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import check_writable, print_json
from edgegraph.cli.run import analyses, check_noise, is_saved
from edgegraph.errors import InputError

KINDS = (
    "roofline",
    "layers",
    "memory",
    "graph",
    "sweep",
    "fusion",
    "overlap",
    "devices",
    "scaling",
)
WIDTHS = ("column", "page")
_COMMANDS = {
    "sweep": "sweep",
    "fusion": "fusion",
    "overlap": "overlap",
    "devices": "compare-devices",
    "scaling": "scaling",
}
"""Which command makes what a figure shows, where that is no analysis."""


def complete_kind(incomplete: str) -> list[str]:
    """Offer the kinds of figures, and what can stand in their place."""
    kinds = [kind for kind in KINDS if kind.startswith(incomplete)]
    return kinds + complete_spec(incomplete)


@partial(
    takes_job,
    spec=Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help=f"The figure: {', '.join(KINDS)}. Left out, it is the one that fits the file.",
            autocompletion=complete_kind,
        ),
    ],
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
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="The figure: .png, .svg or .pdf; repeatable."),
    ] = None,
    width: Annotated[
        str,
        typer.Option(
            metavar="|".join(WIDTHS),
            help="column: 3.3 inches, one of a paper's two; page: 7 inches.",
            autocompletion=lambda: list(WIDTHS),
        ),
    ] = "column",
    json: Annotated[bool, typer.Option("--json", help="Print the files as a JSON list.")] = False,
) -> None:
    """Draw a figure of a saved result, or of a SPEC that is analysed first."""
    kind, job = (None, job) if of is None else (job.spec, replace(job, spec=of))
    if kind is not None and kind not in KINDS:
        raise InputError(f"there is no figure {kind!r}; choose one of: {', '.join(KINDS)}")
    if of is None and job.spec in KINDS and not Path(job.spec).exists():
        raise InputError(f"{job.spec}: a figure needs a saved file or a SPEC after its kind")
    if not output:
        raise InputError("-o names no file; give one that ends in .png, .svg or .pdf")
    if width not in WIDTHS:
        raise InputError(f"--width {width!r} is unknown; choose one of: {', '.join(WIDTHS)}")
    from edgegraph import plot as figures
    from edgegraph.report.figure import figure_format

    for path in output:
        figure_format(path)
        check_writable(path)
    result = _result(job, kind)
    inches = figures.COLUMN_INCHES if width == "column" else figures.PAGE_INCHES
    ax = figures.draw(result, kind, width=inches)
    written = [str(figures.save(ax, path)) for path in output]
    if json:
        print_json(written)
    else:
        typer.echo("\n".join(f"Written: {path}" for path in written))


def _result(job: Job, kind: str | None) -> Any:
    """Load what a file holds, or analyse what SPEC names."""
    if is_saved(job):
        from edgegraph.results.files import load

        return load(job.spec)
    if kind in _COMMANDS:
        raise InputError(
            f"{kind} shows a saved result, but {job.spec!r} is not one; make one with"
            f" `edgegraph {_COMMANDS[kind]} {job.spec} -o FILE.edgegraph`"
        )
    if len(set(job.batch or ())) > 1:
        raise InputError("a figure shows one analysis; give one --batch")
    (analysis,) = analyses(job)
    check_noise(job, [analysis])
    return analysis
