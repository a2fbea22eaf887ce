"""A diff at the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from edgegraph.report import diff_words as words
from edgegraph.report.names import shorten
from edgegraph.results.diff import ADDED, CHANGED, FUSED, REMOVED, REWIRED, Diff, LayerChange
from edgegraph.units import seconds, si

STYLE = {ADDED: "green", REMOVED: "red", CHANGED: "yellow", FUSED: "magenta", REWIRED: "cyan"}
MOST_OPS = 20
"""Changes of ops that are shown unless all are asked for."""

_WIDE = 110
"""Columns from which bound, memory and former names are shown too."""


def diff_table(diff: Diff, *, everything: bool = False) -> RenderableType:
    """Show what changed: the whole, the layers, the ops.

    Args:
        diff: Any diff.
        everything: What is the same too, and all ops.

    Returns:
        A renderable that is readable at 80 columns.
    """
    parts: list[RenderableType] = [Text(words.headline(diff), style="bold")]
    if diff.settings:
        told = "; ".join(f"{each.name} {each.before} → {each.after}" for each in diff.settings)
        parts.append(Text(f"set differently: {told}", style="dim"))
    parts += [Text(note, style="dim") for note in diff.notes]
    figures = words.shown_figures(diff, everything=everything)
    if figures:
        table = _plain()
        table.add_column("whole", no_wrap=True)
        for heading in ("before", "after", "change"):
            table.add_column(heading, justify="right", no_wrap=True)
        for figure in figures:
            before, after = (words.value(figure, side) for side in ("before", "after"))
            table.add_row(words.NAMES[figure.name], before, after, words.change(figure))
        parts.append(table)
    rows = words.shown_layers(diff, everything=everything)
    if rows:
        parts.append(_Layers(rows))
    parts += _ops(diff, None if everything else MOST_OPS)
    return Group(*parts)


def _plain() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


@dataclass(frozen=True, slots=True)
class _Layers:
    """Drops the columns that say least where the terminal is narrow."""

    rows: list[LayerChange]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table for the width at hand."""
        wide = options.max_width >= _WIDE
        several = len({row.phase for row in self.rows}) > 1
        timed = any(words.time_change(row) for row in self.rows)
        table = _plain()
        table.add_column("layer", no_wrap=True, overflow="ellipsis", min_width=10)
        table.add_column("", no_wrap=True)
        for heading in ("FLOP", "", "bytes", "", *(("memory", "") if wide else ())):
            table.add_column(heading, justify="right", no_wrap=True)
        if timed:
            table.add_column("time", justify="right", no_wrap=True)
            table.add_column("", justify="right", no_wrap=True)
        if wide:
            table.add_column("bound", no_wrap=True)
            table.add_column("", no_wrap=True, overflow="ellipsis")
        phase = None
        for row in self.rows:
            if several and row.phase != phase:
                phase = row.phase
                table.add_row(Text(phase, style="italic dim"))
            table.add_row(*_cells(row, wide=wide, timed=timed))
        yield table


def _cells(row: LayerChange, *, wide: bool, timed: bool) -> list[RenderableType]:
    name = "  " * row.depth + row.layer.rpartition("/")[2]
    cells: list[RenderableType] = [
        Text(shorten(name, 40 if wide else 20)),
        Text(row.kind, style=STYLE.get(row.kind, "dim")),
    ]
    names = ["flops", "bytes", *(["peak_bytes"] if wide else [])]
    for quantity in names:
        before, after = (
            None if side is None else getattr(side, quantity) for side in (row.before, row.after)
        )
        unit = "" if quantity == "flops" else "B"
        cells.append(si(before if row.after is None else after, unit))
        cells.append(words.relative(before, after))
    if timed:
        present = row.after or row.before
        cells.append(seconds(None if present is None else present.time_s))
        cells.append(words.time_change(row))
    if wide:
        cells += [words.bound_change(row), Text(words.aligned(row), style="dim")]
    return cells


def _ops(diff: Diff, most: int | None) -> list[RenderableType]:
    if not diff.op_changes:
        return []
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in diff.op_changes[:most]:
        where = row.layer or "(unattributed)"
        if row.phase != "forward":
            where += f", {row.phase}"
        said = Text(where, style="bold") + Text(f"  {words.op_names(row)}", style="not bold")
        grid.add_row(Text(row.kind, style=STYLE[row.kind]), said)
        if row.facets:
            grid.add_row("", Text("; ".join(map(words.facet, row.facets)), style="dim"))
    left = len(diff.op_changes) - len(diff.op_changes[:most])
    parts: list[RenderableType] = [grid]
    if left:
        parts.append(Text(f"and {left:,} changes of ops more; --all shows them", style="dim"))
    return parts
