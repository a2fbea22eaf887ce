"""A diff at the terminal, as Markdown for a pull request, in a notebook, and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.compare import words
from edgegraph.compare.result import (
    ADDED,
    CHANGED,
    FUSED,
    REMOVED,
    REWIRED,
    SAME,
    Diff,
    LayerChange,
)
from edgegraph.hlo.op_name import UNATTRIBUTED, scope_of
from edgegraph.reporting.exports import markdown_row, markdown_text
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.presenters import Presenter, Section, Tab
from edgegraph.results.analysis import Analysis

STYLE = {ADDED: "green", REMOVED: "red", CHANGED: "yellow", FUSED: "magenta", REWIRED: "cyan"}
MOST_OPS = 20
"""Changes of ops that are shown unless all are asked for."""

MOST_MARKDOWN_OPS = 50
"""Changes of ops that are listed; a comment on a pull request holds no more."""

MOST_PAGE_OPS = 500
"""Changes of ops that stand on the page."""

_WIDE = 110
"""Columns from which bound, memory and former names are shown too."""

_SIDES = ("before", "after")
_WHOLE = ("whole", *_SIDES, "change")


def diff_table(diff: Diff, *, everything: bool = False) -> RenderableType:
    """Show what changed: the whole, the layers, the ops; with `everything` what is the same too."""
    parts: list[RenderableType] = [Text(words.headline(diff), style="bold")]
    if diff.settings:
        parts.append(Text(f"set differently: {words.settings(diff)}", style="dim"))
    parts += [Text(note, style="dim") for note in diff.notes]
    figures = _figure_rows(diff, everything=everything)
    if figures:
        table = _plain()
        for position, heading in enumerate(_WHOLE):
            table.add_column(heading, justify="right" if position else "left", no_wrap=True)
        for row in figures:
            table.add_row(*row)
        parts.append(table)
    rows = words.shown_layers(diff, everything=everything)
    if rows:
        parts.append(_Layers(rows))
    parts += _ops(diff, None if everything else MOST_OPS)
    return Group(*parts)


def _figure_rows(diff: Diff, *, everything: bool = False) -> list[tuple[str, ...]]:
    """Return a row for every figure of the whole that is shown, with the columns of `_WHOLE`."""
    return [
        (
            words.NAMES[figure.name],
            *(words.value(figure, side) for side in _SIDES),
            words.change(figure),
        )
        for figure in words.shown_figures(diff, everything=everything)
    ]


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
        for heading in ("FLOP", "bytes", *["memory"] * wide, *["time"] * timed):
            table.add_column(heading, justify="right", no_wrap=True)
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
    for quantity in ("flops", "bytes", *["peak_bytes"] * wide):
        cells += _quantity(row, quantity)
    if timed:
        cells += [seconds(row.present.time_s), words.time_change(row)]
    if wide:
        cells += [words.bound_change(row), Text(words.aligned(row), style="dim")]
    return cells


def _quantity(row: LayerChange, name: str) -> tuple[str, str]:
    """Return what a layer comes to, and how that changed."""
    unit = "" if name == "flops" else "B"
    return si(getattr(row.present, name), unit), words.relative(*row.both(name))


def _ops(diff: Diff, most: int | None) -> list[RenderableType]:
    if not diff.op_changes:
        return []
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in diff.op_changes[:most]:
        where = row.layer or UNATTRIBUTED
        if row.phase != "forward":
            where += f", {row.phase}"
        said = Text(where, style="bold") + Text(f"  {words.op_names(row)}", style="not bold")
        grid.add_row(Text(row.kind, style=STYLE[row.kind]), said)
        if row.facets:
            grid.add_row("", Text("; ".join(map(words.facet, row.facets)), style="dim"))
    left = len(diff.op_changes) - len(diff.op_changes[:most])
    if left:
        more = Text(f"and {left:,} changes of ops more; --all shows them", style="dim")
        return [grid, more]
    return [grid]


def markdown(diff: Diff) -> str:
    """Return what changed as Markdown: the whole, the layers that differ, the ops."""
    lines = [f"**{markdown_text(words.headline(diff))}**", ""]
    if diff.settings:
        lines += [f"Set differently: {markdown_text(words.settings(diff))}", ""]
    lines += [f"Note: {markdown_text(note)}\n" for note in diff.notes]
    figures = _figure_rows(diff)
    if figures:
        lines += _markdown_table(_WHOLE, figures)
    rows = words.shown_layers(diff)
    if rows:
        headings = ("layer", "", "FLOP", "bytes", "memory", "time", "bound")
        lines += _markdown_table(headings, (list(_markdown_cells(row)) for row in rows))
    if diff.op_changes:
        lines += _markdown_ops(diff)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_cells(row: LayerChange) -> Iterator[str]:
    former = words.aligned(row)
    name = row.layer.rpartition("/")[2] + ("" if row.phase == "forward" else f" ({row.phase})")
    yield "&nbsp;&nbsp;" * row.depth + markdown_text(f"{name} ({former})" if former else name)
    yield row.kind
    quantities = [_quantity(row, quantity) for quantity in ("flops", "bytes", "peak_bytes")]
    time_s = row.present.time_s
    quantities.append(("", "") if time_s is None else (seconds(time_s), words.time_change(row)))
    for number, change in quantities:
        yield number if change in ("", "=") else f"{number} ({change})"
    yield words.bound_change(row)


def _markdown_ops(diff: Diff) -> Iterator[str]:
    """Yield the changes of ops, folded up."""
    count = len(diff.op_changes)
    yield from ("<details>", f"<summary>{words.plural(count, 'change')} of ops</summary>", "")
    yield from _markdown_table(
        ("", "layer", "op", "differs in"),
        (
            (
                row.kind,
                markdown_text(row.layer or UNATTRIBUTED),
                markdown_text(words.op_names(row)),
                markdown_text("; ".join(map(words.facet, row.facets))),
            )
            for row in diff.op_changes[:MOST_MARKDOWN_OPS]
        ),
    )
    if count > MOST_MARKDOWN_OPS:
        yield from (f"and {count - MOST_MARKDOWN_OPS:,} more", "")
    yield "</details>"


def _markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [markdown_row(headings), "|" + "---|" * len(headings), *map(markdown_row, rows), ""]


def _notebook(diff: Diff) -> str:
    """Show the whole and the layers that differ in a notebook."""
    layers = diff.frame[diff.frame["change"] != SAME].dropna(axis="columns", how="all")
    head = "".join(f"<th>{escape(each)}</th>" for each in _WHOLE)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for row in _figure_rows(diff)
    )
    return (
        f"<p><b>{escape(words.headline(diff))}</b></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + (layers.to_html(na_rep="?", index=False) if len(layers) else "")
    )


def write_diff_page(diff: Diff, before: Analysis, after: Analysis, path: str | Path) -> Path:
    """Write a page that shows what changed, and both analyses with their graphs, layers marked."""
    # The page draws with matplotlib, which the terminal need not wait for.
    from edgegraph.reporting.analysis_page import analysis_section, analysis_tab
    from edgegraph.reporting.page import render, write

    sections, tabs = [_section(diff, 0)], [_tab(diff, 0, False)]
    for number, (analysis, side) in enumerate(zip((before, after), _SIDES, strict=True)):
        sections.append(analysis_section(analysis, number, _marks(diff, side)))
        name = f"{side}: {getattr(diff, side).title}"
        tabs.append({**analysis_tab(analysis, number, True), "name": name})
    hint = " Layers that differ are marked on the left, and framed in the graphs."
    return write(render(sections, tabs, _title(diff), hint), path)


def _title(diff: Diff) -> str:
    return f"{diff.before.title} → {diff.after.title}"


def _section(diff: Diff, number: int) -> Section:
    return {
        "id": f"diff{number or ''}",
        "number": number,
        "template": "diff.html.j2",
        "scene": None,
        "diff": diff,
        "words": words,
        "op_changes": diff.op_changes[:MOST_PAGE_OPS],
        "layers": words.shown_layers(diff, everything=True),
        "figures": words.shown_figures(diff, everything=True),
        "timed": any(words.time_change(row) for row in diff.layer_changes),
    }


def _tab(diff: Diff, number: int, named: bool) -> Tab:
    count = words.plural(len(diff.op_changes), "change")
    return {
        "id": f"diff{number or ''}",
        "name": f"what changed: {_title(diff)}" if named else "what changed",
        "summary": "nothing" if diff.empty else f"{count} of ops",
        "bound": None,
    }


def _marks(diff: Diff, side: str) -> dict[tuple[str, str], str]:
    """Describe what happened to the layers of one side, by path and phase."""
    marks: dict[tuple[str, str], str] = {}
    for row in diff.layer_changes:
        figures = getattr(row, side)
        if figures is not None and row.kind != SAME:
            marks[figures.layer, row.phase] = row.kind
            marks.setdefault((scope_of(figures.layer), row.phase), row.kind)
    return marks


PRESENTER = Presenter(
    table=lambda diff, wide: diff_table(diff),
    section=_section,
    tab=_tab,
    workloads=lambda diff: (_title(diff),),
    headline=words.headline,
    notebook=_notebook,
    markdown=markdown,
)
