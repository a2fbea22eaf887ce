"""What tables share: how they begin at the terminal, and how the page shows the same."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from edgegraph.base.shown import shown
from edgegraph.reporting.palette import BOUND_COLOURS
from edgegraph.results.columns import Column
from edgegraph.results.verdicts import INVALID, NOISY, OK

BOUND_STYLE = {"compute": "blue", "memory": "yellow", "network": "magenta", "overhead": "red"}
VERDICT_STYLE = {OK: "green", NOISY: "yellow", INVALID: "red"}

WORDS = frozenset({"bound", "verdict"})
"""Headings of columns that hold words."""


def plain_table(first: str, *headings: str, words: Container[str] = WORDS, **options: Any) -> Table:
    """Begin a table: a column of names with these options, then of words left, numbers right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, **{"no_wrap": True, "overflow": "ellipsis", **options})
    for heading in headings:
        table.add_column(heading, justify="left" if heading in words else "right", no_wrap=True)
    return table


def column_table(columns: Mapping[str, Column], **options: Any) -> Table:
    """Begin a table with the headings of columns, of which the first names the rows."""
    first, *rest = columns.values()
    words = {column.heading for column in rest if column.dtype == "string"}
    return plain_table(first.heading, *(column.heading for column in rest), words=words, **options)


def cells(
    record: object, columns: Mapping[str, Column], **written: RenderableType
) -> list[RenderableType]:
    """Write a record, a cell for each column; `written` are those that are no plain value."""
    return [
        written[name] if name in written else column.text(getattr(record, name))
        for name, column in columns.items()
    ]


@dataclass(frozen=True, slots=True)
class ByWidth:
    """What drops the columns that say least where the terminal is narrow, in characters."""

    draw: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it for the width at hand."""
        yield self.draw(options.max_width)


@dataclass(frozen=True, slots=True)
class AsNamed:
    """What is shown with every name in it as it is: none is markup or moves the terminal's cursor.

    Styles stand beside the text that is written out.
    """

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        for segment in console.render(self.content, options.update(markup=False)):
            yield Segment(shown(segment.text, keep="\n"), segment.style, segment.control)


def styled(word: str | None, styles: Mapping[str, str] = BOUND_STYLE) -> Text:
    """Write a word in its style; nothing where there is none."""
    return Text(word or "", style=styles.get(word or "", ""))


_KINDS = {
    "green": "good", "red": "bad", "yellow": "doubtful", "magenta": "doubtful", "blue": "good",
    "dim": "dim", "bold": "strong", "cyan": "code",
}  # fmt: skip
"""The page's class for a style of the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlCell:
    """Text, and the classes that it has on the page."""

    text: str
    kind: str


class HtmlColumn(NamedTuple):
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
    """Return the content of a table of the terminal."""
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
