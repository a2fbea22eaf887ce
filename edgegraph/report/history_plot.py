"""A figure over time, drawn."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from edgegraph.report.history_table import written
from edgegraph.report.palette import INK, MUTED, PAPER
from edgegraph.report.plots import COLUMN_INCHES, FONT_POINTS
from edgegraph.report.sweep_plot import CURVE_COLOURS, CURVE_MARKERS
from edgegraph.results.history import History, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT_INCHES = 2.4
_MARKER_POINTS = 3.6


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
            face = colour if run.verdict in (None, "OK") else PAPER
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
    ax.set_title(
        f"{history.workload}, {history.metric}", fontsize=FONT_POINTS + 0.5, color=INK, loc="left",
        parse_math=False,
    )  # fmt: skip
    low, high = ax.get_ylim()
    if low > 0 and high / low > 10:
        ax.set_yscale("log")
    locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call] # has no types
    ax.xaxis.set_major_locator(locator)
    dates = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call] # has no types
    ax.xaxis.set_major_formatter(dates)
    ax.xaxis.get_offset_text().set(fontsize=FONT_POINTS, color=INK)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, history.metric)))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    ax.set_xlabel("made (UTC)", fontsize=FONT_POINTS, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(which="both", labelsize=FONT_POINTS, colors=MUTED, labelcolor=INK, width=0.6)
    if len(history.series) > 1:
        ax.legend(fontsize=FONT_POINTS - 1, frameon=False, labelcolor=INK)
