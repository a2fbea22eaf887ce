"""Tables of an analysis: the first screen, layers chosen and sorted, ops one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.shown import shown
from edgegraph.base.units import percent, seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting.answer import headline, listed, start, times, worth
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.layer_shapes import layer_shapes
from edgegraph.reporting.table_kit import ByWidth, plain_table, styled
from edgegraph.reporting.views import LEAST, in_view, largest_first, view_line
from edgegraph.reporting.words import device_line, measurement_line, plural, sentence
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord
from edgegraph.results.columns import columns_of
from edgegraph.results.compiled_together import CompiledTogether, WhatIf, compare_together, what_if
from edgegraph.results.verdicts import COST, GAINED, NOISY

_BAR, _NARROW_BAR = 8, 5
_NAME, _NARROW_NAME = 40, 18
"""Characters of a layer's name; without indentation it is what tells layers apart."""

_WIDE = 104
"""Columns from which parameters and FLOPs are shown too."""

_WITH_SHAPES = 160
"""Columns from which shapes stand beside all the others,"""

_WIDEST = 116
"""Columns from which traced times stand beside those of layers alone,"""

_WITH_TEXT = 132
"""and from which lines of code are written out."""


def analysis_tables(analysis: Analysis) -> Group:
    """Show the layers, comparisons of layers with their parts, and the findings."""
    together = together_table(analysis)
    compared = [] if together is None else [together]
    return Group(layer_table(analysis), *compared, findings_panel(analysis))


def layer_table(
    analysis: Analysis, rows: Sequence[LayerRecord] | None = None, *, shapes: bool = False
) -> RenderableType:
    """Show a headline, the layers as a tree, and how far figures hold; readable at 80 columns.

    Functions or lines stand in their place where the analysis is shown by these. `rows` are those
    to show; None stands for all that matter. With `shapes`, those of what goes in and out, too.
    """
    viewed = in_view(analysis, everything=False)
    left = len(analysis.records_by(analysis.view)) - len(viewed.layer_records)
    if rows is not None:
        viewed, left = replace(viewed, layer_records=tuple(rows)), 0
    about = [line for line in (device_line(analysis), view_line(analysis)) if line]
    first = start(analysis)
    parts: list[RenderableType] = [
        Text(headline(analysis), style="bold"),
        *([] if first is None else [Text(shown(first), style="bold")]),
        *(Text(shown(line), style="dim") for line in about),
        ByWidth(lambda width: _table(viewed, width, layer_shapes(analysis) if shapes else {})),
    ]
    if left:
        each = " each" * (left > 1)
        more = f"and {plural(left, analysis.view)} of less than {percent(LEAST)}{each}"
        parts.append(Text(f"{more}; edgegraph show FILE --all shows them", style="dim"))
    order = times(analysis)
    lines = [*([] if order is None else [f"times: {order}"]), *measurement_line(analysis)]
    parts += [Text(line, style="dim") for line in lines]
    return Group(*parts)


def rows_table(analysis: Analysis, width: int) -> Table:
    """Return the table of the rows that matter, as wide as a terminal of so many columns has it."""
    return _table(in_view(analysis, everything=False), width)


def findings_panel(analysis: Analysis, most: int = 3) -> RenderableType:
    """Show what stands out, most important first."""
    lines: list[RenderableType] = []
    findings = listed(analysis)
    for number, finding in enumerate(findings[:most], start=1):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="bold", width=2, justify="right")
        grid.add_column()
        concerns = sentence(worth(analysis, finding)) if worth(analysis, finding) else ""
        seen = Text(shown(f"{finding.seen}. ")).append(concerns, style="dim")
        grid.add_row(f"{number}.", seen)
        grid.add_row("", Text(shown(f"Try: {finding.try_next}."), style="green"))
        lines.append(grid)
    rest = len(findings) - most
    if rest > 0:
        lines.append(Text(f"    and {rest} more in the report", style="dim"))
    return Group(*lines, Text())


_COLUMNS = {
    **columns_of(LayerRecord, "bytes", "intensity_flops_per_byte", rest=True),
    **columns_of(WhatIf, "gain_share"),
}


_NO_SHAPES: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType({})


def _table(
    analysis: Analysis, width: int, shapes: Mapping[tuple[str, str], tuple[str, str]] = _NO_SHAPES
) -> Table:
    rows, wide = analysis.layer_records, width >= _WIDE
    phases = len({row.phase for row in rows}) > 1
    table = plain_table(analysis.view, footer="total", min_width=10)
    table.show_footer = True
    names = _shown(analysis, wide=wide, widest=width >= _WIDEST)
    if shapes and width < _WITH_SHAPES:
        names = [name for name in names if name in ("params", "macs", "time_s")]
    for name in names:
        table.add_column(
            _COLUMNS[name].heading,
            footer=_whole(analysis, name),
            justify="left" if name in ("bound", "share") else "right",
            no_wrap=True,
        )
    for heading in ("input", "output") if shapes else ():
        table.add_column(heading, overflow="fold", min_width=12)
    texts = width >= _WITH_TEXT and any(getattr(row, "text", None) for row in rows)
    if texts:
        table.add_column("", style="dim")  # the one that is cut where there is no room
    gains = {(each.layer, each.phase): each.gain_share for each in what_if(rows)}
    phase = None
    for row in rows:
        if phases and row.phase != phase:
            phase = row.phase
            table.add_row(Text(phase, style="italic dim"))
        layer = "  " * row.depth + row.layer.rpartition("/")[2]
        gain = gains.get((row.layer, row.phase))
        cells = [_cell(row, name, gain, _BAR if wide else _NARROW_BAR) for name in names]
        cells += shapes.get((row.layer, row.phase), ("", "")) if shapes else ()
        written = shown(getattr(row, "text", None) or "")
        cells += [Text(written, no_wrap=True, overflow="ellipsis")] * texts
        table.add_row(
            Text(shorten(layer, _NAME if wide else _NARROW_NAME)),
            *cells,
            style="bold" if row.depth == 0 else "",
        )
    return table


def _shown(analysis: Analysis, *, wide: bool, widest: bool) -> Sequence[str]:
    """Name the columns for which there are figures, and room."""
    totals, rows = analysis.totals, analysis.layer_records
    timed = any(row.time_s is not None for row in rows)
    both = None not in (totals.traced_time_s, totals.layers_time_s)
    judged = any(row.efficiency is not None for row in rows)
    shown = {
        "params": wide and analysis.view == "layer",
        "macs": any(row.macs for row in rows),
        "flops": wide,
        "bytes": True,
        "intensity_flops_per_byte": wide or not judged,
        "bound": timed,
        "time_s": timed,
        "traced_time_s": timed and widest and both,
        "compiler_time_s": timed and wide and totals.compiler_time_s is not None,
        "share": timed,
        "efficiency": judged,
        "gain_share": judged,
    }
    return [name for name, has in shown.items() if has]


def _whole(analysis: Analysis, name: str) -> str | Text:
    """Write what stands below a column."""
    totals = analysis.totals
    about = False
    if name == "bound":
        return styled(totals.bound)
    if name in ("share", "efficiency", "gain_share"):
        return ""
    value: Any = totals.get(name)
    if name == "bytes":
        value = totals.bytes_read + totals.bytes_written
    elif name == "time_s":
        measured = any(row.time_source == "measured" for row in analysis.layer_records)
        value = totals.overlapped_time_s
        if measured:
            alone_s = totals.layers_time_s
            value = totals.traced_time_s if alone_s is None else alone_s
        about = value is not None and not measured
    bounded = name == "flops" and totals.lower_bound
    return "≥ " * bounded + "~" * about + _COLUMNS[name].text(value)


def _cell(row: LayerRecord, name: str, gain: float | None, bar: int) -> str | Text:
    if name == "bound":
        return styled(row.bound)
    if name == "time_s":
        # An estimate is marked, so that it is never taken for a measurement.
        about = row.time_s is not None and row.time_source != "measured"
        return Text("~" * about + seconds(row.time_s), style="dim" if about else "")
    if name == "share":
        return share_bar(row.share, bar)
    return _COLUMNS[name].cell(gain if name == "gain_share" else getattr(row, name))


def share_bar(share: float | None, length: int = _BAR) -> Text:
    """Write a share in percent with a bar of its length; nothing where it is unknown."""
    if share is None:
        return Text("")
    eighths = round(share * length * 8)
    bar = "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]
    return Text(f"{percent(share):>5} ") + Text(bar, style="cyan")


_STYLE = {GAINED: "green", COST: "red", NOISY: "dim"}
_TOGETHER_NAME = 40


def together_table(analysis: Analysis) -> RenderableType | None:
    """Show layers timed as one piece beside the sum of their parts; None without several cuts."""
    compared = compare_together(analysis.latency, analysis.layer_latencies)
    if not any(each.layer is not None for each in compared):
        return None
    headings = ("parts", "as one", "in parts", "noise", "verdict")
    table = plain_table("compiled as one", *headings, min_width=10)
    for each in compared:
        table.add_row(
            shorten(_name(each), _TOGETHER_NAME),
            str(each.parts),
            seconds(each.together_s),
            seconds(each.alone_s),
            f"± {seconds(each.noise_s)}",
            _verdict(each),
        )
    return table


def _name(each: CompiledTogether) -> str:
    if each.layer is None:
        cut = "every scope" if each.depth is None else f"depth {each.depth}"
        return f"the whole, by {cut}"
    return each.layer if each.phase == "forward" else f"{each.layer} ({each.phase})"


def _verdict(each: CompiledTogether) -> Text:
    told = each.verdict in (GAINED, COST) and each.change is not None
    share = f"{percent(abs(each.change or 0.0))} " if told else ""
    return Text(share + each.verdict, style=_STYLE.get(each.verdict, ""))


SORTS: Mapping[str, Callable[[LayerRecord | OpRecord], float]] = {
    "time": lambda row: row.time_s or 0.0,
    "flops": lambda row: row.flops or 0,
    "macs": lambda row: row.macs or 0,
    "bytes": lambda row: row.bytes or 0,
}
"""What rows can be sorted by, the largest first."""

MOST_OPS = 40
"""Ops that are shown unless all are asked for."""

_OP_NAME = 20
_LAYER = 12
"""Characters, so that a row fits into 80 columns."""

_Row = TypeVar("_Row", LayerRecord, OpRecord)


def shown_layers(
    analysis: Analysis,
    *,
    depth: int | None = None,
    sort: str | None = None,
    phase: str | None = None,
    everything: bool = False,
    shapes: bool = False,
) -> RenderableType:
    """Show the layers as a tree, siblings sorted by one of `SORTS`, to a depth, of one phase.

    Of functions and lines, those that hardly matter are left out, unless `everything` is shown.
    """
    if depth is not None and depth < 0:
        raise InputError(f"--depth must be a non-negative integer, not {depth}")
    if (depth, sort, phase) == (None, None, None) and not everything:
        return layer_table(analysis, shapes=shapes)
    viewed = in_view(analysis, everything=everything)
    rows = _of_phase(viewed.layer_records, phase, viewed)
    if sort is not None:
        rows = largest_first(rows, _key(sort))
    if depth is not None:
        rows = [row for row in rows if row.depth <= depth]
    return layer_table(analysis, rows, shapes=shapes)


def shown_ops(
    analysis: Analysis,
    *,
    sort: str | None = None,
    phase: str | None = None,
    most: int | None = None,
) -> RenderableType:
    """Show the ops that take most first, by one of `SORTS`; all of them and phases where None."""
    work = [
        record
        for record in analysis.op_tree.leaves
        if record.bound is not None or record.flops or record.bytes
    ]
    rows = _of_phase(work, phase, analysis)
    whole = sum(row.time_s or 0.0 for row in rows)
    rows.sort(key=_key(sort or ("time" if whole else "flops")), reverse=True)
    table = plain_table("op", min_width=8)
    table.add_column("layer", no_wrap=True, overflow="ellipsis", min_width=8)
    for heading in ("FLOP", "bytes"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=7)
    table.add_column("bound", no_wrap=True, min_width=7)
    table.add_column("time", justify="right", no_wrap=True, min_width=7)
    table.add_column("share", no_wrap=True, min_width=15)
    for row in rows[:most]:
        about = row.time_s is not None and row.time_source != "measured"
        table.add_row(
            shorten(row.name, _OP_NAME - len(_times(row))) + _times(row),
            shorten((row.layer or "").rpartition("/")[2], _LAYER),
            si(row.flops),
            si(row.bytes, "B"),
            styled(row.bound),
            Text("~" * about + seconds(row.time_s), style="dim" if about else ""),
            share_bar((row.time_s or 0.0) / whole if whole else None),
        )
    left = len(rows) - len(rows[:most])
    parts: list[RenderableType] = [Text(headline(analysis), style="bold"), table]
    if left:
        parts.append(Text(f"and {left:,} ops more; --all shows them", style="dim"))
    return Group(*parts)


def _times(row: OpRecord) -> str:
    """Describe how often an op runs, where that is not once."""
    if row.executions is None:
        return " x ?"
    return "" if row.executions == 1 else f" x {row.executions}"


def _key(sort: str) -> Callable[[LayerRecord | OpRecord], float]:
    if sort not in SORTS:
        raise InputError(f"--sort {sort!r} is not a column; choose one of: {', '.join(SORTS)}")
    return SORTS[sort]


def _of_phase(rows: Sequence[_Row], phase: str | None, analysis: Analysis) -> list[_Row]:
    phases = list(dict.fromkeys(row.phase for row in analysis.layer_records))
    if phase is not None and phase not in phases:
        raise InputError(f"--phase {phase!r} is not in this analysis; it has: {', '.join(phases)}")
    return [row for row in rows if phase is None or row.phase == phase]
