"""A figure over time: as a table for the terminal with a small curve for each series, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.reporting import figure
from edgegraph.reporting.palette import INK, PAPER, curve_style
from edgegraph.results.verdicts import FASTER, NOISY, OK, SLOWER
from edgegraph.store.history import Entry, History, Series, options_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

STYLE = {FASTER: "green", SLOWER: "red", NOISY: "yellow"}

_LISTED = ("kind", "target")
_BARS = "▁▂▃▄▅▆▇█"
_UNITS = {"_bytes": "B", "_per_s": "/s", "bytes": "B", "flops": "FLOP", "macs": "MAC"}


def history_table(history: History) -> RenderableType:
    """Show a history: a table for every machine and target, a block for every series."""
    title = Text(f"{history.workload}: {heading(history.metric)}", style="bold")
    parts: list[RenderableType] = [title]
    for machine, target in dict.fromkeys(name[:2] for name in history.series):
        own = [runs for name, runs in history.series.items() if name[:2] == (machine, target)]
        parts += [Text(f"{target}, on {machine}", style="dim"), _table(own, history.metric)]
    return Group(*parts)


def workloads_table(runs: pd.DataFrame) -> RenderableType:
    """Show what a run database holds, by `Store.frame`: a row for every workload."""
    table = _plain()
    table.add_column("workload", no_wrap=True, overflow="ellipsis")
    for name in ("runs", "kinds", "targets", "first, UTC", "last, UTC"):
        table.add_column(name, justify="right" if name == "runs" else "left")
    for workload, own in runs.groupby("workload"):
        days = (str(own["created_at"].iloc[end])[:16].replace("T", " ") for end in (0, -1))
        # A comparison of devices is of several targets.
        named = (", ".join(sorted(set(", ".join(own[name]).split(", ")))) for name in _LISTED)
        table.add_row(str(workload), str(len(own)), *named, *days)
    return table


def _plain() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def heading(metric: str) -> str:
    """Name a figure without its unit, which stands at every value."""
    for end in ("_per_s", "_s", "_bytes"):
        metric = metric.removesuffix(end)
    return metric.replace("_", " ")


def written(value: float, metric: str) -> str:
    """Write a figure with the unit that its name tells."""
    if metric.endswith("_s") and not metric.endswith("_per_s"):
        return seconds(value)
    unit = next((unit for end, unit in _UNITS.items() if metric.endswith(end)), "")
    return si(value, unit)


def _table(series: Sequence[Sequence[Entry]], metric: str) -> Table:
    entries = [entry for runs in series for entry in runs]
    table = _plain()
    # What all have in common stands above the table, or goes without saying.
    shown = [name for name in ("dtype", "options") if any(getattr(e, name) for e in entries)]
    table.add_column("batch", justify="right", no_wrap=True)
    for name in shown:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("run", "made, UTC", heading(metric), "change"):
        right = name != "made, UTC"
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    table.add_column("", overflow="fold")
    for runs in series:
        for number, entry in enumerate(runs):
            first, last = number == 0, number == len(runs) - 1
            values = {"dtype": entry.dtype or "", "options": options_text(entry)}
            told = [str(entry.batch or ""), *(values[name] for name in shown)]
            table.add_row(
                *(told if first else [""] * len(told)),
                f"#{entry.id}",
                entry.created_at[:16].replace("T", " "),
                written(entry.value, metric),
                _change(entry),
                _words(entry, runs[:number], runs if last else ()),
                end_section=last,
            )
    return table


def _change(entry: Entry) -> Text:
    if entry.change is None:
        return Text("")
    told = f"{100 * entry.change:+.1f} %".replace("-0.0", "0.0").replace("+0.0", "0.0")
    return Text(told, style=STYLE.get(entry.judged or "", ""))


def _words(entry: Entry, earlier: Sequence[Entry], whole: Sequence[Entry]) -> Text:
    """Describe how far the change holds and what else changed; at the end, draw the curve."""
    before = next((each for each in earlier if each.id == entry.previous), None)
    words = [entry.judged] if entry.judged else []
    if entry.verdict not in (None, OK) and entry.judged != entry.verdict:
        words.append(str(entry.verdict))
    if entry.same_program is False:
        words.append("other program")
    if before is not None:
        if before is not earlier[-1]:
            words.append(f"since #{before.id}")
        words += [
            f"{name} {getattr(before, name)} → {getattr(entry, name)}"
            for name in ("jax", "edgegraph")
            if getattr(before, name) != getattr(entry, name)
        ]
    text = Text(", ".join(words), style=STYLE.get(entry.judged or "", "dim"))
    if len(whole) > 2:
        text.append(f"{'  ' if words else ''}{curve([run.value for run in whole])}", style="cyan")
    return text


def curve(values: Sequence[float]) -> str:
    """Draw values as a row of bars, from the least to the most of them."""
    low, high = min(values), max(values)
    if low == high:
        return _BARS[3] * len(values)
    most = len(_BARS) - 1
    return "".join(_BARS[round(most * (value - low) / (high - low))] for value in values)


_HEIGHT_INCHES = 2.4
_MARKER_POINTS = 3.6
_LEGEND_COLUMNS = 4
_LARGE_RATIO = 10
"""Values that span more than this stand on a logarithmic axis."""


def draw_history(history: History, ax: Axes | None = None) -> Axes:
    """Draw a figure over time, a line for all runs that compare; hollow marks were not OK."""
    if ax is None:
        made = figure.new_figure(figure.COLUMN_INCHES, _HEIGHT_INCHES)
        made.set_layout_engine("constrained")
        ax = made.subplots()
    names = _line_names(list(history.series))
    for number, (series, runs) in enumerate(history.series.items()):
        colour, marker = curve_style(number)
        when = [datetime.fromisoformat(run.created_at) for run in runs]
        ax.plot(when, [run.value for run in runs], color=colour, linewidth=1.1)  # type: ignore[arg-type]
        ax.plot([], [], color=colour, marker=marker, markersize=_MARKER_POINTS, label=names[series])
        for time, run in zip(when, runs, strict=True):
            face = colour if run.verdict in (None, OK) else PAPER
            ax.plot(
                time, run.value, marker, color=colour, markersize=_MARKER_POINTS,  # type: ignore[arg-type]
                markerfacecolor=face, markeredgewidth=0.9,
            )  # fmt: skip
    _finish_axes(ax, history)
    return ax


def _line_names(series: list[Series]) -> dict[Series, str]:
    """Name every line by what tells it from the others."""
    columns = list(zip(*series, strict=True))
    differs = [len(set(column)) > 1 for column in columns]
    named = {}
    for each in series:
        machine, target, dtype, batch, options = each
        parts = (machine, target, dtype, f"batch {batch}", options or "no options")
        told = [part for part, wanted in zip(parts, differs, strict=True) if wanted and part]
        named[each] = ", ".join(told) or f"batch {batch}"
    return named


def _finish_axes(ax: Axes, history: History) -> None:
    series = list(history.series)
    values = [entry.value for entry in history.entries]
    if min(values) > 0 and max(values) / min(values) > _LARGE_RATIO:
        ax.set_yscale("log")
        figure.log_ticks(ax.yaxis, 9, span=max(values) / min(values))
    else:
        ax.set_ylim(0, 1.03 * ax.get_ylim()[1])  # from 0, so that a small change looks small
    figure.write_dates(ax.xaxis, 6)
    ax.xaxis.get_offset_text().set(fontsize=figure.FONT_POINTS, color=INK)
    figure.write_values(ax.yaxis, lambda value: written(value, history.metric))
    ax.set_xlabel("made (UTC)", fontsize=figure.FONT_POINTS, color=INK)
    ax.set_ylabel(heading(history.metric), fontsize=figure.FONT_POINTS, color=INK)
    figure.tidy(ax)
    title = history.workload
    if len(series) == 1:
        title += f", {_line_names(series)[series[0]]}"
    rows = ceil(len(series) / _LEGEND_COLUMNS) if len(series) > 1 else 0
    ax.set_title(
        title, fontsize=figure.FONT_POINTS + 0.5, color=INK, loc="left", parse_math=False,
        pad=5 + 1.4 * figure.FONT_POINTS * rows,
    )  # fmt: skip
    if rows:
        figure.legend_above(
            ax, 0, _LEGEND_COLUMNS, handletextpad=0.4, columnspacing=1.0, handlelength=1.4
        )
