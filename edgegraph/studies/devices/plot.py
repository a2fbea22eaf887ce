"""A program on several devices as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from edgegraph.base.units import seconds
from edgegraph.errors import InputError
from edgegraph.reporting.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    ROW_INCHES,
    SMALL_POINTS,
    column_axes,
    names_margin,
    tidy,
    write_legend,
)
from edgegraph.reporting.palette import BOUND_COLOURS, BOUND_MARKERS, INK, MUTED, bound_colour
from edgegraph.studies.devices.result import DeviceComparison, DeviceRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(
    comparison: DeviceComparison, ax: Axes | None = None, *, width: float = COLUMN_INCHES
) -> Axes:
    """Draw the bracket of every row, from all overlapped to nothing overlapped.

    Args:
        comparison: With figures in one row at least.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on, times on a logarithmic scale.

    Raises:
        InputError: No row has figures.
    """
    rows = [row for row in comparison.rows if row.low_s and row.high_s]
    if not rows:
        raise InputError("no device has figures to draw; the rows' errors say why")
    several = len({row.workload for row in rows}) > 1
    labels = [_label(row, several) for row in rows]
    if ax is None:
        height = 0.75 + ROW_INCHES * max(2, len(rows))
        ax = column_axes(height, left=names_margin(labels), top=0.3, width=width)
    for position, row in enumerate(rows):
        _row(ax, position, row)
    ax.set_xscale("log")
    ends = [end for row in rows for end in (row.low_s, row.high_s, row.measured_s) if end]
    ax.set_xlim(min(ends) / 2, max(ends) * max(3.0, (max(ends) / min(ends)) ** 0.4))
    ax.xaxis.set_major_locator(LogLocator(numticks=4))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlabel("time of one call, roofline bracket", fontsize=FONT_POINTS)
    _legend(ax, rows)
    tidy(ax)
    ax.tick_params(axis="y", length=0)
    return ax


def _label(row: DeviceRow, several: bool) -> str:
    batch = "" if row.batch is None else f", {row.batch}"
    return (f"{row.workload} on " if several else "") + row.device + batch


def _row(ax: Axes, position: int, row: DeviceRow) -> None:
    low, high = row.low_s or 0.0, row.high_s or 0.0
    ax.plot([low, high], [position, position], "|-", color=bound_colour(row.bound), linewidth=5,
            solid_capstyle="butt", markersize=5, markeredgewidth=1.2)  # fmt: skip
    if row.whole_compiler_time_s:
        ax.plot(row.whole_compiler_time_s, position, "x", color=INK, markersize=4)
    if row.measured_s:
        ax.plot(row.measured_s, position, "o", color=INK, markersize=3.5)
    last = max(filter(None, (high, row.whole_compiler_time_s, row.measured_s)))
    said = seconds(row.measured_s) if row.measured_s else f"≥ {seconds(low)}"
    ax.annotate(
        said, (last, position), (6, 0), textcoords="offset points",
        va="center", fontsize=SMALL_POINTS, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _legend(ax: Axes, rows: list[DeviceRow]) -> None:
    present = {row.bound for row in rows}
    handles = [
        Line2D([], [], linestyle="none", marker="s", color=colour, markersize=4.5,
               label=f"{bound}-bound")
        for bound, colour in BOUND_COLOURS.items()
        if bound in present and bound in BOUND_MARKERS
    ]  # fmt: skip
    if any(row.measured_s for row in rows):
        handles.append(Line2D([], [], linestyle="none", marker="o", color=INK, markersize=3.5,
                              label="measured"))  # fmt: skip
    if any(row.whole_compiler_time_s for row in rows):
        handles.append(Line2D([], [], linestyle="none", marker="x", color=INK, markersize=4,
                              label="compiler's estimate"))  # fmt: skip
    write_legend(ax, handles)
