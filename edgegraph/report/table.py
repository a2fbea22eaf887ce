"""The first screen: what bounds the model, its layers, what to try."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edgegraph.report.names import shorten
from edgegraph.report.words import device_line, headline, measurement_line
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.frames import intensity
from edgegraph.results.what_if import what_if
from edgegraph.units import percent, ratio, seconds, si

BOUND_STYLE = {"compute": "blue", "memory": "yellow", "network": "magenta", "overhead": "red"}
_BAR = 8
_NAME, _NARROW_NAME = 40, 18
"""Characters of a layer's name; without indentation it is what tells layers apart."""

_WIDE = 104
"""Columns from which parameters and FLOPs are shown too."""

_WIDEST = 116
"""Columns from which traced times stand beside those of layers alone."""


def layer_table(analysis: Analysis) -> RenderableType:
    """Show an analysis: a headline, its layers as a tree, and how far the figures hold.

    Args:
        analysis: Any analysis, measured or not.

    Returns:
        A renderable that is readable at 80 columns.
    """
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold]{escape(headline(analysis))}[/bold]"),
        Text(device_line(analysis), style="dim"),
        _LayerTable(analysis),
    ]
    parts += [Text(line, style="dim") for line in measurement_line(analysis)]
    return Group(*parts)


def findings_panel(analysis: Analysis, most: int = 3) -> RenderableType:
    """Show what stands out, most important first.

    Args:
        analysis: Any analysis.
        most: How many findings to show.
    """
    lines: list[RenderableType] = []
    for number, finding in enumerate(analysis.findings[:most], start=1):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="bold", width=2, justify="right")
        grid.add_column()
        grid.add_row(f"{number}.", Text(f"{finding.seen}."))
        grid.add_row("", Text(f"Try: {finding.try_next}.", style="green"))
        lines.append(grid)
    rest = len(analysis.findings) - most
    if rest > 0:
        lines.append(Text(f"    and {rest} more in the report", style="dim"))
    return Group(*lines, Text())


@dataclass(frozen=True, slots=True)
class _LayerTable:
    """Drops the columns that say least where the terminal is narrow."""

    analysis: Analysis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table for the width at hand."""
        width = options.max_width
        yield _table(self.analysis, wide=width >= _WIDE, widest=width >= _WIDEST)


def _table(analysis: Analysis, *, wide: bool, widest: bool) -> Table:
    rows, totals = analysis.layer_records, analysis.totals
    phases = len({row.phase for row in rows}) > 1
    timed = any(row.time_s is not None for row in rows)
    measured = any(row.time_source == "measured" for row in rows)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_footer=True)
    traced = widest and totals.traced_time_s is not None
    compiler = wide and totals.compiler_time_s is not None
    table.add_column("layer", footer="total", overflow="ellipsis", no_wrap=True, min_width=10)
    if wide:
        _numbers(table, "params", si(totals.params))
    _numbers(table, "MACs", si(totals.macs))
    if wide:
        _numbers(table, "FLOP", ("≥ " if totals.lower_bound else "") + si(totals.flops))
    _numbers(table, "bytes", si(totals.bytes_read + totals.bytes_written, "B"))
    _numbers(table, "FLOP/B", ratio(totals.intensity_flops_per_byte))
    if timed:
        table.add_column("bound", no_wrap=True, footer=_bound(totals.bound))
        whole = totals.layers_time_s if measured else totals.overlapped_time_s
        _numbers(table, "time", seconds(whole))
        if traced:
            _numbers(table, "traced", seconds(totals.traced_time_s))
        if compiler:
            _numbers(table, "compiler", seconds(totals.compiler_time_s))
        table.add_column("share", no_wrap=True)
    if measured:
        _numbers(table, "of roof", "")
    if measured and wide:
        _numbers(table, "gain", "")
    gains = {(each.layer, each.phase): each.gain_share for each in what_if(rows)}
    phase = None
    for row in rows:
        if phases and row.phase != phase:
            phase = row.phase
            table.add_row(Text(phase, style="italic dim"))
        name = "  " * row.depth + row.layer.rpartition("/")[2]
        cells: list[RenderableType] = [Text(shorten(name, _NAME if wide else _NARROW_NAME))]
        cells += [si(row.params) if row.params else ""] * wide
        cells += [si(row.macs) if row.macs else ""]
        cells += [si(row.flops)] * wide
        moved = (row.bytes_read or 0) + (row.bytes_written or 0)
        cells += [si(moved, "B"), ratio(intensity(row)) if moved else ""]
        if timed:
            cells += [_bound(row.bound), _time(row)]
            if traced:
                cells.append("" if row.traced_time_s is None else seconds(row.traced_time_s))
            if compiler:
                cells.append("" if row.compiler_time_s is None else seconds(row.compiler_time_s))
            cells.append(share_bar(row.share))
        if measured:
            cells.append(percent(row.efficiency) if row.efficiency is not None else "")
        if measured and wide:
            gain = gains.get((row.layer, row.phase))
            cells.append(percent(gain) if gain is not None else "")
        table.add_row(*cells, style="bold" if row.depth == 0 else "")
    return table


def _numbers(table: Table, heading: str, footer: str) -> None:
    table.add_column(heading, footer=footer, justify="right", no_wrap=True)


def _bound(bound: str | None) -> Text:
    return Text(bound or "", style=BOUND_STYLE.get(bound or "", ""))


def _time(row: LayerRecord) -> Text:
    """Write the time; an estimate is marked, so that it is never taken for a measurement."""
    if row.time_s is None:
        return Text("?")
    mark = "" if row.time_source == "measured" else "~"
    return Text(mark + seconds(row.time_s), style="" if not mark else "dim")


def share_bar(share: float | None) -> Text:
    """Write a share in percent with a bar of its length; nothing where it is unknown."""
    if share is None:
        return Text("")
    eighths = round(share * _BAR * 8)
    bar = "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]
    return Text(f"{percent(share):>5} ") + Text(bar, style="cyan")
