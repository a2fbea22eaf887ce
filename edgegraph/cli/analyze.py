"""``edgegraph analyze``, ``show`` and ``models``: figures of a program or a saved result."""

from __future__ import annotations

import importlib
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegraph.base.files import check_writable
from edgegraph.cli.job import (
    Job,
    JsonLines,
    StoreOption,
    grouped_options,
    saving_to,
)
from edgegraph.cli.output import (
    ByOption,
    ForceOption,
    check_by,
    outlives,
    own_file,
    print_json,
    print_result,
    print_rich,
    write_result,
)
from edgegraph.cli.run import SAVED_SUFFIX, analyses, check_noise, interruptible, results
from edgegraph.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgegraph.results.analysis import Analysis


@grouped_options()
def analyze(
    job: Job,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Save there: a .edgegraph or .json file, or a folder for several batches.",
        ),
    ] = None,
    force: ForceOption = False,
    by: ByOption = None,
    store: StoreOption = None,
    json: JsonLines = False,
) -> None:
    """Print what every layer costs, what bounds it and how long it takes; or function, or line."""
    check_by(by)
    to_file = output is not None and _is_file(output, job)
    if output is not None:
        check_writable(output if to_file else output / f"any{SAVED_SUFFIX}")
    kept: list[Path] = []
    found = []
    with interruptible(kept), saving_to(store) as keep:
        for analysis in analyses(job, by):
            found.append(analysis)
            if output is not None:
                path = output if to_file else own_file(output, analysis, kept, force=force)
                if to_file and not force and outlives(path, analysis):
                    raise InputError(
                        f"-o {path} was measured, and this analysis is not; name another file, or"
                        " replace it with --force"
                    )
                kept.append(write_result(analysis, path))
            print_result(analysis, json=json)
            keep(analysis)
    check_noise(job, found)


_FILES = (SAVED_SUFFIX, ".json")


def _is_file(output: Path, job: Job) -> bool:
    """Return whether ``-o`` names a file, not a folder; refuse other endings."""
    if output.is_dir() or not output.suffix:
        return False
    if output.suffix not in _FILES:
        raise InputError(
            f"-o {output}: choose a name that ends in {' or '.join(_FILES)}, or a folder"
        )
    if len(job.batches) > 1:
        raise InputError(
            f"-o {output} is one file, but several batches were asked for; name a folder"
        )
    return True


SORTS = ("time", "flops", "macs", "bytes")
PHASES = ("forward", "backward", "rematerialised", "update")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Which rows of an analysis to show."""

    depth: Annotated[
        int | None, typer.Option(help="Levels below the top; all where not given.")
    ] = None
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(SORTS),
            help="The largest first; the model's order where not given.",
            autocompletion=lambda: list(SORTS),
        ),
    ] = None
    phase: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only that phase: forward, backward, rematerialised or update.",
            autocompletion=lambda: list(PHASES),
        ),
    ] = None
    ops: Annotated[bool, typer.Option("--ops", help="Single ops, the longest first.")] = False
    all: Annotated[
        bool, typer.Option("--all", help="All ops, functions or lines, and not the largest only.")
    ] = False
    shapes: Annotated[
        bool, typer.Option("--shapes", help="What goes into each layer, and what comes out of it.")
    ] = False
    by: ByOption = None


@grouped_options(without=("depth",))
def show(
    job: Job,
    rows: Rows,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
) -> None:
    """Show a saved analysis (or a SPEC) in the terminal: layers, functions or lines, or ops.

    Of a saved sweep, study or device comparison: its tables.
    """
    from edgegraph.results.analysis import Analysis

    check_by(rows.by)
    if rows.shapes and (rows.ops or rows.by):
        raise InputError("--shapes are those of layers; leave --ops and --by out")
    found = []
    for result in results(job, rows.by):
        if isinstance(result, Analysis):
            found.append(result)
            if not json:
                _print_rows(result, rows)
                continue
        else:  # a study, which has neither layers nor ops
            for name, value in asdict(rows).items():
                if value is not None and value is not False:
                    raise InputError(
                        f"--{name} chooses layers or ops of an analysis, and {job.spec} holds none;"
                        " leave it out"
                    )
        print_result(result, json=json)
    check_noise(job, found)


def _print_rows(analysis: Analysis, rows: Rows) -> None:
    from edgegraph.reporting.tables import MOST_OPS, shown_layers, shown_ops

    if rows.ops:
        most = None if rows.all else MOST_OPS
        print_rich(shown_ops(analysis, sort=rows.sort, phase=rows.phase, most=most))
    else:
        shown = shown_layers(
            analysis,
            depth=rows.depth,
            sort=rows.sort,
            phase=rows.phase,
            everything=rows.all,
            shapes=rows.shapes,
        )
        print_rich(shown)


COLUMNS = ("name", "params", "macs", "input", "source")


def models(
    json: Annotated[bool, typer.Option("--json", help="Print a list of JSON objects.")] = False,
) -> None:
    """List the networks of the zoo, with their published figures; run it in the checkout."""
    rows = list(_catalogue())
    if json:
        print_json(rows)
    else:
        _print_table(rows)


def _catalogue() -> Iterable[Mapping[str, Any]]:
    """Read the catalogue of the zoo in the current folder."""
    if not Path("models", "__init__.py").is_file():
        raise InputError(
            "there is no models/ folder here: the zoo is part of EdgeGraph's source checkout; run"
            " `edgegraph models` in it"
        )
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    zoo = importlib.import_module("models")
    if not hasattr(zoo, "catalogue"):
        raise InputError(
            f"{zoo.__file__} is not EdgeGraph's zoo: it has no catalogue(); run `edgegraph models`"
            " in EdgeGraph's source checkout"
        )
    rows: Iterable[Mapping[str, Any]] = zoo.catalogue()
    return rows


def _print_table(rows: Iterable[Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table()
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("params", "macs") else "left")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in COLUMNS))
    print_rich(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    return str(value)
