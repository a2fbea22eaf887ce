"""``edgegraph diff``: what changed from one analysis to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.output import check_writable, print_json, print_rich
from edgegraph.cli.run import SAVED_SUFFIX
from edgegraph.errors import InputError

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis

SUFFIXES = (".html", ".md", ".csv", SAVED_SUFFIX)


def diff(
    before: Annotated[str, typer.Argument(help="A saved analysis, or an HLO file.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", help=f"Write there, by ending: {', '.join(SUFFIXES)}; repeatable."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show what is the same too, and every change of ops.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
) -> None:
    """Show what changed: ops, layers, and the whole; times only beyond their noise.

    Names do not count. The two may differ in batch, dtype, versions, options, target or model.
    """
    paths = output or []
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise InputError(f"-o {path}: choose a name that ends in {', '.join(SUFFIXES)}")
        check_writable(path)
    if json and markdown:
        raise InputError("--json and --markdown exclude each other; leave one out")
    from edgegraph.compare.diff import diff as compare

    left, right = read_analysis(before), read_analysis(after)
    found = compare(left, right)
    if json:
        print_json(found.document)
    elif markdown:
        typer.echo(found.to_markdown(), nl=False)
    else:
        from edgegraph.report.diff_table import diff_table

        print_rich(diff_table(found, everything=everything))
    for path in paths:
        if path.suffix == ".html":
            from edgegraph.report.diff_page import write_diff_page

            write_diff_page(found, left, right, path)
        elif path.suffix == SAVED_SUFFIX:
            found.save(path)
        else:
            from edgegraph.atomic import replacing

            with replacing(path) as temporary:
                if path.suffix == ".md":
                    temporary.write_text(found.to_markdown(), "utf-8")
                else:
                    found.frame.to_csv(temporary, index=False)


def read_analysis(name: str) -> Analysis:
    """Read a saved analysis, or analyse an HLO file.

    Raises:
        InputError: There is no such file.
        FormatError: It holds something else.
    """
    from edgegraph.cli.job import Job
    from edgegraph.cli.run import analyses

    job = Job(spec=name)
    if job.file is None:
        raise InputError(
            f"{name!r} is not a file; save an analysis first: edgegraph analyze {name} -o"
            f" before{SAVED_SUFFIX}"
        )
    (analysis,) = analyses(job)
    return analysis
