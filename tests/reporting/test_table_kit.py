"""What tables share, at the terminal and on the page."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgegraph.reporting.table_kit import (
    ByWidth,
    HtmlCell,
    HtmlTable,
    cells,
    column_table,
    html_parts,
    html_table,
    plain_table,
)
from edgegraph.results.columns import COUNT, Column, columns_of


@dataclass(frozen=True)
class Lap:
    """A record with columns of every sort."""

    runner: str
    laps: Annotated[int | None, COUNT]
    time_s: Annotated[float | None, Column(heading="time")]
    verdict: str | None = None


def test_a_table_has_the_headings_and_values_of_its_columns() -> None:
    columns = columns_of(Lap, "runner", "laps", "time_s", "verdict")
    table = column_table(columns)
    shown = [(str(column.header), column.justify) for column in table.columns]
    assert shown == [("runner", "left"), ("laps", "right"), ("time", "right"), ("verdict", "left")]
    row = cells(Lap(runner="Ada", laps=1200, time_s=0.0025), columns, runner="A.")
    assert row == ["A.", "1200", "2.5 ms", ""]
    assert cells(Lap(runner="Bo", laps=None, time_s=None), columns) == ["Bo", "?", "?", ""]


def made() -> HtmlTable:
    table = Table(caption="a caption")
    table.add_column("layer")
    table.add_column("time", justify="right")
    table.add_row("conv", Text("1 ms", "green"), end_section=True)
    table.add_row(Text("all", "bold"), "compute", style="bold")
    return html_table(table)


def test_columns_tell_words_from_numbers() -> None:
    assert [(column.heading, column.words) for column in made().columns] == [
        ("layer", True), ("time", False),
    ]  # fmt: skip
    assert made().caption == "a caption"


def test_rows_keep_their_weight_their_lines_and_their_colours() -> None:
    first, last = made().rows
    assert (first.strong, first.ends_group) == (False, True)
    assert (last.strong, last.ends_group) == (True, False)
    assert [cell.kind for cell in first.cells] == ["", "good"]
    assert [cell.kind for cell in last.cells] == ["strong", "bound compute"]


def test_lines_stand_between_tables() -> None:
    line, table = html_parts([Text("slower", "red"), Table("a")])
    assert line == HtmlCell(text="slower", kind="bad")
    assert isinstance(table, HtmlTable)


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    table = plain_table("layer", "time", "bound")
    assert [column.justify for column in table.columns] == ["left", "right", "left"]


def test_what_is_drawn_may_depend_on_the_width() -> None:
    for width in (80, 120):
        text = io.StringIO()
        Console(width=width, file=text).print(ByWidth(lambda room: f"{room} columns"))
        assert text.getvalue() == f"{width} columns\n"
