"""Figures in matplotlib: they take an Axes or make one, and give it back.

Colours are Okabe and Ito's, which the common colour blindnesses tell apart; every axis names
its unit, every time its source. A figure made here is as wide as one column of a paper.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgegraph.atomic import replacing
from edgegraph.errors import InputError
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

FORMATS = ("png", "svg", "pdf")
COLUMN_INCHES = 3.5
FONT_POINTS = 7.0
MOST_BARS = 30
"""Shorter layers share one line, which gives their sum."""

_ROW_INCHES = 0.19
_BAR_HEIGHT = 0.6


def roofline(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw layers and ops under the roofs of the device.

    A layer stands at its arithmetic intensity (FLOP/byte) and at the FLOP/s that it reached,
    with a line up to the roof that binds it; where it was not measured it stands hollow on
    that roof. Its size is its share of the time. Ops are small dots on their roofs.

    Args:
        analysis: An analysis with a device.
        ax: Where to draw; a new figure of one paper column where None.

    Returns:
        The axes drawn on, both logarithmic.

    Raises:
        InputError: The analysis has no device.
    """
    if analysis.device is None:
        raise InputError(
            f"{analysis.workload!r} was analysed without a device, so it has no roofs; calibrate"
            " this machine first, or hand in device="
        )
    if ax is None:
        ax = column_axes(2.75, left=0.55, top=0.42)
        _title(ax, title(analysis))
    draw_roofline(ax, analysis, analysis.device, FONT_POINTS)
    bounds = [row.bound for row in analysis.layer_records if row.leaf and row.flops]
    _legend(ax, bounds, markers=True)
    _tidy(ax)
    return ax


def layer_times(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw each layer's time as a bar, with the bracket that its roofs allow.

    The bracket runs from max(T_compute, T_memory), perfect overlap, to their sum, no overlap.
    Estimated times are hollow bars.

    Args:
        analysis: An analysis with a device or with measured layers.
        ax: Where to draw; a new figure of one paper column where None.

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
        ax = layer_times_axes(analysis)
        _title(ax, title(analysis))
    rest_s = sum(row.time_s or 0.0 for row in rest)
    ends = [value for row in shown for value in (row.time_s, _serial(row)) if value]
    largest = max(ends, default=0.0)
    scale, unit = _time_scale(largest)
    for place, row in enumerate(shown):
        _time_bar(ax, place, row, scale)
    if rest:
        _beside(ax, len(shown), 0.0, f"{seconds(rest_s)} in sum")
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    room = 16 * CHARACTER_WIDTH * (FONT_POINTS - 1) / (72 * _width_inches(ax))
    ax.set_xlim(0, largest / scale / max(0.4, 1 - room) or 1.0)
    sources = sorted({row.time_source for row in shown if row.time_source is not None})
    source = "measured alone" if sources == ["measured"] else " or ".join(sources)
    reached = "; % of its roof" if "measured" in sources else ""
    ax.set_xlabel(f"time ({unit}), {source}{reached}", fontsize=FONT_POINTS)
    _legend(ax, [row.bound for row in shown], markers=False, bracket=any(map(_serial, shown)))
    _tidy(ax)
    ax.tick_params(axis="y", length=0)
    return ax


def memory(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw the bytes alive along the schedule.

    Below what is held all the time, such as the weights; above it what comes and goes. The peak
    is marked.

    Args:
        analysis: An analysis of a scheduled module, such as any that was compiled.
        ax: Where to draw; a new figure of one paper column where None.

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
        ax = column_axes(2.0, left=0.48, top=0.42)
        _title(ax, title(analysis))
    draw_memory(ax, analysis.live_memory, FONT_POINTS)
    _tidy(ax)
    return ax


PLOTS = {"roofline": roofline, "layer_times": layer_times, "memory": memory}
"""Every plot of one analysis by its name."""


def save_figure(ax: Axes, path: str | Path) -> Path:
    """Write the figure that holds `ax`, as PNG, SVG or PDF by the path's ending.

    Args:
        ax: As `roofline` or `layer_times` gave it.
        path: The file.

    Returns:
        The path written.

    Raises:
        InputError: The ending is another one, or the folder cannot be written.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot write {path}: choose a name that ends in .png, .svg or .pdf")
    figure = ax.get_figure(root=True)
    assert figure is not None
    # Without dates, and with a fixed salt for ids, the same figure gives the same bytes.
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "edgegraph"}):
        figure.savefig(temporary, format=kind, dpi=300, metadata=undated[kind])
    return path


def column_axes(
    height: float, *, left: float, top: float = 0.22, width: float = COLUMN_INCHES
) -> Axes:
    """Make a figure with one Axes; sizes in inches, `left` and `top` are margins."""
    right, bottom = 0.08, 0.4
    figure = Figure(figsize=(width, height))
    return figure.add_axes(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
    )


def layer_times_axes(
    analysis: Analysis, *, width: float = COLUMN_INCHES, top: float = 0.42
) -> Axes:
    """Make a figure with room for `layer_times`: one row a layer, margins for their names."""
    _, _, labels = _bars(analysis)
    left = 0.12 + CHARACTER_WIDTH * FONT_POINTS / 72 * max(map(len, labels), default=0)
    return column_axes(
        0.4 + top + _ROW_INCHES * max(2, len(labels)), left=left, top=top, width=width
    )


def _bars(analysis: Analysis) -> tuple[list[LayerRecord], list[LayerRecord], list[str]]:
    """Give the layers with bars of their own, the rest, and the names of all bars."""
    rows = [row for row in analysis.layer_records if row.leaf and row.time_s is not None]
    longest = sorted(rows, key=lambda row: -(row.time_s or 0.0))[:MOST_BARS]
    kept = {(row.layer, row.phase) for row in longest}
    shown = [row for row in rows if (row.layer, row.phase) in kept]
    rest = [row for row in rows if (row.layer, row.phase) not in kept]
    names = short_names(analysis.layer_records)
    labels = [names[row.layer, row.phase] for row in shown]
    return shown, rest, labels + [f"{len(rest)} shorter layers"] * bool(rest)


def _time_bar(ax: Axes, place: int, row: LayerRecord, scale: float) -> None:
    """Draw one layer's bar, its bracket, and its time beside it."""
    time = (row.time_s or 0.0) / scale
    colour = bound_colour(row.bound)
    face = colour if row.time_source == "measured" else "none"
    ax.barh(place, time, _BAR_HEIGHT, color=face, edgecolor=colour, linewidth=0.8)
    serial = _serial(row)
    if serial:
        overlapped = max(row.compute_time_s or 0.0, row.memory_time_s or 0.0)
        for line_colour, width in ((PAPER, 2.6), (INK, 1.0)):
            ax.plot(
                [overlapped / scale, serial / scale], [place, place], "|-", color=line_colour,
                linewidth=width, markersize=6, markeredgewidth=width, solid_capstyle="butt",
            )  # fmt: skip
    said = seconds(row.time_s)
    if row.time_source != "measured":
        said = f"~{said}"
    elif row.efficiency is not None:
        said += f", {percent(row.efficiency)}"
    _beside(ax, place, max(time, (serial or 0.0) / scale), said)


def _beside(ax: Axes, place: int, x: float, said: str) -> None:
    ax.annotate(
        said, (x, place), (4, 0), textcoords="offset points", va="center",
        fontsize=FONT_POINTS - 1, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _serial(row: LayerRecord) -> float | None:
    if row.compute_time_s is None or row.memory_time_s is None:
        return None
    return row.compute_time_s + row.memory_time_s


def _time_scale(largest: float) -> tuple[float, str]:
    unit = seconds(largest).rpartition(" ")[2]
    return {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit], unit


def _width_inches(ax: Axes) -> float:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(ax.get_position().width * figure.get_size_inches()[0])


def _title(ax: Axes, text: str) -> None:
    figure = ax.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    figure.text(
        0.06 / width, 1 - 0.06 / height, text, va="top", fontsize=FONT_POINTS + 0.5, color=INK,
        parse_math=False,
    )  # fmt: skip


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
    if handles:
        figure, place = ax.get_figure(root=True), ax.get_position()
        # Alone in its figure, the line may begin above the names on the left.
        alone = figure is not None and len(figure.axes) == 1
        start = -max(0.0, place.x0 - 0.02) / place.width if alone else 0.0
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(start, 1), ncols=len(handles),
            fontsize=FONT_POINTS - 1, frameon=False, labelcolor=INK, borderpad=0.1,
            borderaxespad=0.2, handletextpad=0.3, columnspacing=1.0, handlelength=1.2,
        )  # fmt: skip


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(which="both", labelsize=FONT_POINTS, colors=MUTED, labelcolor=INK, width=0.6)
    ax.tick_params(which="minor", length=1.5)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.patch.set_alpha(0)
