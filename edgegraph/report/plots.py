"""Figures in matplotlib: they take an Axes or make one, and give it back.

Every axis names its unit, every time its source. A figure made here is as wide as one column of
a paper.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from edgegraph.errors import InputError
from edgegraph.report.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    MOST_BARS,
    ROW_INCHES,
    SMALL_POINTS,
    names_margin,
    tidy,
    width_inches,
    write_legend,
    write_title,
)
from edgegraph.report.figure import column_axes as column_axes
from edgegraph.report.graph_plot import layer_graph
from edgegraph.report.memory_plot import draw_memory
from edgegraph.report.names import short_names
from edgegraph.report.palette import (
    BOUND_COLOURS,
    BOUND_MARKERS,
    INK,
    MUTED,
    PAPER,
    bound_colour,
)
from edgegraph.report.placement import CHARACTER_WIDTH
from edgegraph.report.roofline_plot import draw_roofline
from edgegraph.report.words import title
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.units import percent, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR_HEIGHT = 0.6


def roofline(analysis: Analysis, ax: Axes | None = None, *, width: float = COLUMN_INCHES) -> Axes:
    """Draw layers and ops under the roofs of the device.

    A layer stands at its arithmetic intensity (FLOP/byte) and at the FLOP/s that it reached,
    with a line up to the roof that binds it; where it was not measured it stands hollow on
    that roof. Its size is its share of the time. Ops are small dots on their roofs.

    Args:
        analysis: An analysis with a device.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on, both logarithmic.

    Raises:
        InputError: The analysis has no device.
    """
    if analysis.device is None:
        raise InputError(
            f"{analysis.workload!r} was analysed without a device, so it has no roofs; calibrate"
            " this machine first, or pass device="
        )
    if ax is None:
        ax = column_axes(2.75, left=0.55, top=0.42, width=width)
        write_title(ax, title(analysis))
    draw_roofline(ax, analysis, analysis.device, FONT_POINTS)
    bounds = [row.bound for row in analysis.layer_records if row.leaf and row.flops]
    _legend(ax, bounds, markers=True)
    tidy(ax)
    return ax


def layer_times(
    analysis: Analysis, ax: Axes | None = None, *, width: float = COLUMN_INCHES
) -> Axes:
    """Draw each layer's time as a bar, with the bracket that its roofs allow.

    The bracket runs from max(T_compute, T_memory), perfect overlap, to their sum, no overlap.
    Estimated times are hollow bars.

    Args:
        analysis: An analysis with a device or with measured layers.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on.

    Raises:
        InputError: The analysis has no times at all.
    """
    shown, rest, labels = _bars(analysis)
    if not shown:
        raise InputError(
            f"{analysis.workload!r} has neither measured nor estimated times; measure it, or"
            " calibrate this machine first"
        )
    if ax is None:
        ax = layer_times_axes(analysis, width=width)
        write_title(ax, title(analysis))
    rest_s = sum(row.time_s or 0.0 for row in rest)
    ends = [value for row in shown for value in (row.time_s, _serial(row)) if value]
    largest = max(ends, default=0.0)
    scale, unit = _time_scale(largest)
    for position, row in enumerate(shown):
        _time_bar(ax, position, row, scale)
    if rest:
        _beside(ax, len(shown), 0.0, f"{seconds(rest_s)} in sum")
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    room = 16 * CHARACTER_WIDTH * (SMALL_POINTS) / (72 * width_inches(ax))
    ax.set_xlim(0, largest / scale / max(0.4, 1 - room) or 1.0)
    sources = sorted({row.time_source for row in shown if row.time_source is not None})
    source = "measured alone" if sources == ["measured"] else " or ".join(sources)
    reached = "; % of its roof" if "measured" in sources else ""
    ax.set_xlabel(f"time ({unit}), {source}{reached}", fontsize=FONT_POINTS)
    _legend(ax, [row.bound for row in shown], markers=False, bracket=any(map(_serial, shown)))
    tidy(ax)
    ax.tick_params(axis="y", length=0)
    return ax


def memory(analysis: Analysis, ax: Axes | None = None, *, width: float = COLUMN_INCHES) -> Axes:
    """Draw the bytes alive along the schedule.

    Below what is held all the time, such as the weights; above it what comes and goes. The peak
    is marked.

    Args:
        analysis: An analysis of a scheduled module, such as any that was compiled.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on.

    Raises:
        InputError: The module is not scheduled, so that nobody knows what is alive when.
    """
    if analysis.live_memory is None:
        raise InputError(
            f"{analysis.workload!r} is not scheduled, so what is alive when is not known; analyse"
            " it at stage 'optimized'"
        )
    if ax is None:
        ax = column_axes(2.0, left=0.48, top=0.42, width=width)
        write_title(ax, title(analysis))
    draw_memory(ax, analysis.live_memory, FONT_POINTS)
    tidy(ax)
    return ax


PLOTS = {
    "roofline": roofline,
    "layers": layer_times,
    "memory": memory,
    "graph": layer_graph,
}
"""Every plot of one analysis by its name."""


def layer_times_axes(
    analysis: Analysis, *, width: float = COLUMN_INCHES, top: float = 0.42
) -> Axes:
    """Make a figure with room for `layer_times`: one row a layer, margins for their names."""
    _, _, labels = _bars(analysis)
    left = names_margin(labels)
    return column_axes(
        0.4 + top + ROW_INCHES * max(2, len(labels)), left=left, top=top, width=width
    )


def _bars(analysis: Analysis) -> tuple[list[LayerRecord], list[LayerRecord], list[str]]:
    """Return the layers with bars of their own, the rest, and the names of all bars."""
    rows = [row for row in analysis.layer_records if row.leaf and row.time_s is not None]
    longest = sorted(rows, key=lambda row: -(row.time_s or 0.0))[:MOST_BARS]
    kept = {(row.layer, row.phase) for row in longest}
    shown = [row for row in rows if (row.layer, row.phase) in kept]
    rest = [row for row in rows if (row.layer, row.phase) not in kept]
    names = short_names(analysis.layer_records)
    labels = [names[row.layer, row.phase] for row in shown]
    return shown, rest, labels + [f"{len(rest)} shorter layers"] * bool(rest)


def _time_bar(ax: Axes, position: int, row: LayerRecord, scale: float) -> None:
    """Draw one layer's bar, its bracket, and its time beside it."""
    time = (row.time_s or 0.0) / scale
    colour = bound_colour(row.bound)
    face = colour if row.time_source == "measured" else "none"
    ax.barh(position, time, _BAR_HEIGHT, color=face, edgecolor=colour, linewidth=0.8)
    serial = _serial(row)
    if serial:
        overlapped = max(row.compute_time_s or 0.0, row.memory_time_s or 0.0)
        for line_colour, width in ((PAPER, 2.6), (INK, 1.0)):
            ax.plot(
                [overlapped / scale, serial / scale], [position, position], "|-", color=line_colour,
                linewidth=width, markersize=6, markeredgewidth=width, solid_capstyle="butt",
            )  # fmt: skip
    said = seconds(row.time_s)
    if row.time_source != "measured":
        said = f"~{said}"
    elif row.efficiency is not None:
        said += f", {percent(row.efficiency)}"
    _beside(ax, position, max(time, (serial or 0.0) / scale), said)


def _beside(ax: Axes, position: int, x: float, said: str) -> None:
    ax.annotate(
        said, (x, position), (4, 0), textcoords="offset points", va="center",
        fontsize=SMALL_POINTS, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _serial(row: LayerRecord) -> float | None:
    if row.compute_time_s is None or row.memory_time_s is None:
        return None
    return row.compute_time_s + row.memory_time_s


def _time_scale(largest: float) -> tuple[float, str]:
    unit = seconds(largest).rpartition(" ")[2]
    return {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit], unit


def _legend(
    ax: Axes, bounds: Iterable[str | None], *, markers: bool, bracket: bool = False
) -> None:
    """Name the colours (and shapes) that occur, in one line above the axes."""
    present = set(bounds)
    handles = [
        Line2D(
            [], [], linestyle="none", color=colour, label=f"{bound}-bound", markersize=4.5,
            marker=BOUND_MARKERS[bound] if markers else "s",
        )
        for bound, colour in BOUND_COLOURS.items()
        if bound in present
    ]  # fmt: skip
    if bracket:
        handles.append(
            Line2D(
                [], [], color=INK, marker="|", markersize=5, linewidth=1, label="roofline bracket"
            )
        )
    write_legend(ax, handles)
