"""A diff at the terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.compare import words as words
from edgegraph.compare.result import ADDED, CHANGED, FUSED, REMOVED, REWIRED, Diff, LayerChange
from edgegraph.reporting.exports.tables import markdown_row, markdown_text
from edgegraph.reporting.labels import shorten

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


MOST_MARKDOWN_OPS = 50
"""Changes of ops that are listed; a comment on a pull request holds no more."""


def markdown(diff: Diff) -> str:
    """Return what changed as Markdown: the whole, the layers that differ, the ops."""
    lines = [f"**{markdown_text(words.headline(diff))}**", ""]
    if diff.settings:
        told = "; ".join(f"{each.name} {each.before} → {each.after}" for each in diff.settings)
        lines += [f"Set differently: {markdown_text(told)}", ""]
    lines += [f"Note: {markdown_text(note)}\n" for note in diff.notes]
    figures = words.shown_figures(diff)
    if figures:
        lines += _table(
            ("whole", "before", "after", "change"),
            (
                (
                    words.NAMES[figure.name], words.value(figure, "before"),
                    words.value(figure, "after"), words.change(figure),
                )
                for figure in figures
            ),
        )  # fmt: skip
    rows = words.shown_layers(diff)
    if rows:
        headings = ("layer", "", "FLOP", "bytes", "memory", "time", "bound")
        lines += _table(headings, (list(_markdown_cells(row)) for row in rows))
    if diff.op_changes:
        count = len(diff.op_changes)
        lines += ["<details>", f"<summary>{words.plural(count, 'change')} of ops</summary>", ""]
        lines += _table(
            ("", "layer", "op", "differs in"),
            (
                (
                    row.kind, markdown_text(row.layer or "(unattributed)"),
                    markdown_text(words.op_names(row)),
                    markdown_text("; ".join(map(words.facet, row.facets))),
                )
                for row in diff.op_changes[:MOST_MARKDOWN_OPS]
            ),
        )  # fmt: skip
        if count > MOST_MARKDOWN_OPS:
            lines += [f"and {count - MOST_MARKDOWN_OPS:,} more", ""]
        lines.append("</details>")
    return "\n".join(lines).rstrip() + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [markdown_row(headings), "|" + "---|" * len(headings), *map(markdown_row, rows), ""]


def _markdown_cells(row: LayerChange) -> Iterator[str]:
    former = words.aligned(row)
    name = row.layer.rpartition("/")[2] + ("" if row.phase == "forward" else f" ({row.phase})")
    yield "&nbsp;&nbsp;" * row.depth + markdown_text(f"{name} ({former})" if former else name)
    yield row.kind
    for quantity, unit in (("flops", ""), ("bytes", "B"), ("peak_bytes", "B")):
        before, after = (
            None if side is None else getattr(side, quantity) for side in (row.before, row.after)
        )
        said = words.relative(before, after)
        number = si(before if row.after is None else after, unit)
        yield number if said in ("", "=") else f"{number} ({said})"
    present = row.after or row.before
    time_s = None if present is None else present.time_s
    said = words.time_change(row)
    yield (
        "" if time_s is None else seconds(time_s) + (f" ({said})" if said not in ("", "=") else "")
    )
    yield words.bound_change(row)
