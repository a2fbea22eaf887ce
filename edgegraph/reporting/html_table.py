"""Tables and lines of the terminal as the page shows them: what is said stands in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.reporting.palette import BOUND_COLOURS

_KINDS = {
    "green": "good", "red": "bad", "yellow": "doubtful", "magenta": "doubtful", "blue": "good",
    "dim": "dim", "bold": "strong",
}  # fmt: skip
"""The page's class for a style of the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlCell:
    """Text, and the classes that it has on the page."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlColumn:
    """A heading, and whether words stand below it: numbers are set to the right."""

    heading: str
    words: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlRow:
    """One row; a strong one holds a total, and a line may end a group of rows."""

    cells: tuple[HtmlCell, ...]
    strong: bool
    ends_group: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlTable:
    """A table as templates go through it."""

    columns: tuple[HtmlColumn, ...]
    rows: tuple[HtmlRow, ...]
    caption: str


def html_table(table: Table) -> HtmlTable:
    """Return the content of a table of the terminal.

    Example:
        >>> table = Table("layer", "bound")
        >>> table.add_row("dense", Text("memory", "yellow"))
        >>> [cell.kind for cell in html_table(table).rows[0].cells]
        ['', 'bound memory']
    """
    cells = zip(*(column.cells for column in table.columns), strict=True)
    return HtmlTable(
        columns=tuple(
            HtmlColumn(heading=str(column.header), words=column.justify != "right")
            for column in table.columns
        ),
        rows=tuple(
            HtmlRow(
                cells=tuple(map(_cell, row)),
                strong="bold" in str(about.style or ""),
                ends_group=about.end_section,
            )
            for row, about in zip(cells, table.rows, strict=True)
        ),
        caption=str(table.caption or ""),
    )


def html_parts(parts: Iterable[RenderableType]) -> list[HtmlTable | HtmlCell]:
    """Return tables and lines in their order."""
    return [html_table(part) if isinstance(part, Table) else _cell(part) for part in parts]


def _cell(content: RenderableType) -> HtmlCell:
    text = content if isinstance(content, Text) else Text(str(content))
    if text.plain in BOUND_COLOURS:
        return HtmlCell(text=text.plain, kind=f"bound {text.plain}")
    return HtmlCell(text=text.plain, kind=_KINDS.get(str(text.style), ""))
