"""``edgegraph models``: the networks of the zoo."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegraph.cli.output import print_json, print_rich
from edgegraph.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
