"""A figure over time, drawn."""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edgegraph.reporting.figure import COLUMN_INCHES, FONT_POINTS, SMALL_POINTS, tidy
from edgegraph.reporting.palette import CURVE_COLOURS, CURVE_MARKERS, INK, PAPER
from edgegraph.results.verdicts import OK
from edgegraph.store.history import History, Series
from edgegraph.store.present import heading, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT_INCHES = 2.4
_MARKER_POINTS = 3.6
_LEGEND_COLUMNS = 4
_LARGE_RATIO = 10
"""Values that span more than this stand on a logarithmic axis."""


def draw_history(history: History, ax: Axes | None = None) -> Axes:
    """Draw a figure over time, a line for all runs that compare with each other.

    Hollow marks were NOISY or INVALID.

    Args:
        history: With at least one run.
        ax: Where to draw; a new figure of one paper column where None.

    Returns:
        The axes drawn on.
    """
    if ax is None:
        ax = Figure(figsize=(COLUMN_INCHES, _HEIGHT_INCHES), layout="constrained").subplots()
    names = _names(list(history.series))
    for number, (series, runs) in enumerate(history.series.items()):
        colour = CURVE_COLOURS[number % len(CURVE_COLOURS)]
        marker = CURVE_MARKERS[(number + number // len(CURVE_COLOURS)) % len(CURVE_MARKERS)]
        when = [datetime.fromisoformat(run.created_at) for run in runs]
        ax.plot(when, [run.value for run in runs], color=colour, linewidth=1.1)  # type: ignore[arg-type]
        ax.plot([], [], color=colour, marker=marker, markersize=_MARKER_POINTS, label=names[series])
        for time, run in zip(when, runs, strict=True):
            face = colour if run.verdict in (None, OK) else PAPER
            ax.plot(
                time, run.value, marker, color=colour, markersize=_MARKER_POINTS,  # type: ignore[arg-type]
                markerfacecolor=face, markeredgewidth=0.9,
            )  # fmt: skip
    _finish(ax, history)
    return ax


def _names(series: list[Series]) -> dict[Series, str]:
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


def _finish(ax: Axes, history: History) -> None:
    series = list(history.series)
    values = [entry.value for entry in history.entries]
    if min(values) > 0 and max(values) / min(values) > _LARGE_RATIO:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0, 1.03 * ax.get_ylim()[1])  # from 0, so that a small change looks small
    locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call] # has no types
    ax.xaxis.set_major_locator(locator)
    dates = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call] # has no types
    ax.xaxis.set_major_formatter(dates)
    ax.xaxis.get_offset_text().set(fontsize=FONT_POINTS, color=INK)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, history.metric)))
    ax.set_xlabel("made (UTC)", fontsize=FONT_POINTS, color=INK)
    ax.set_ylabel(heading(history.metric), fontsize=FONT_POINTS, color=INK)
    tidy(ax)
    title = (
        history.workload if len(series) > 1 else f"{history.workload}, {_names(series)[series[0]]}"
    )
    rows = ceil(len(series) / _LEGEND_COLUMNS) if len(series) > 1 else 0
    ax.set_title(
        title, fontsize=FONT_POINTS + 0.5, color=INK, loc="left", parse_math=False,
        pad=5 + 1.4 * FONT_POINTS * rows,
    )  # fmt: skip
    if rows:
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=_LEGEND_COLUMNS, frameon=False,
            fontsize=SMALL_POINTS, labelcolor=INK, borderpad=0.1, borderaxespad=0.2,
            handletextpad=0.4, columnspacing=1.0, handlelength=1.4,
        )  # fmt: skip
