"""Figures in matplotlib: they take an Axes or make one, and return it.

Every axis names its unit, every time its source. A figure made here is as wide as one column of
a paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from edgegraph.base.units import percent, seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.labels import CHARACTER_WIDTH, short_names, shorten
from edgegraph.reporting.memory import KINDS
from edgegraph.reporting.palette import (
    BOUND_COLOURS,
    BOUND_MARKERS,
    INK,
    MUTED,
    NEUTRAL,
    PAPER,
    WORKING,
    bound_colour,
)
from edgegraph.reporting.roofline_plot import draw_roofline
from edgegraph.reporting.views import in_view
from edgegraph.reporting.words import title
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.base import Shown
from edgegraph.results.schedule import HELD, LiveMemory

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


_BAR_HEIGHT = 0.6


def roofline(
    analysis: Analysis | Shown, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES
) -> Axes:
    """Draw layers and ops under the roofs of the device; of an improvement what it changed.

    A layer stands at its arithmetic intensity (FLOP/byte) and at the FLOP/s that it reached,
    with a line up to the roof that binds it; where it was not measured it stands hollow on
    that roof. Its size is its share of the time. Ops are small dots on their roofs.

    Args:
        analysis: An analysis with a device, or an improvement.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on, both logarithmic.

    Raises:
        InputError: The analysis has no device.
    """
    if not isinstance(analysis, Analysis):
        drawn: Axes = analysis.draw("roofline", ax, width=width)
        return drawn
    if analysis.device is None:
        raise InputError(
            f"{analysis.workload!r} was analysed without a device, so it has no roofs; run"
            " `edgegraph calibrate`, or name a device: device=, --device, --target device:rpi5"
        )
    if ax is None:
        ax = figure.column_axes(2.75, left=0.55, top=0.42, width=width)
        figure.write_title(ax, title(analysis))
    viewed = in_view(analysis)
    draw_roofline(ax, viewed, analysis.device, figure.FONT_POINTS)
    bounds = [row.bound for row in viewed.layer_records if row.leaf and row.flops]
    _legend(ax, bounds, markers=True)
    figure.tidy(ax)
    return ax


def layer_times(
    analysis: Analysis, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES
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
        figure.write_title(ax, title(analysis))
    rest_s = sum(row.time_s or 0.0 for row in rest)
    ends = [value for row in shown for value in (row.time_s, _serial(row)) if value]
    largest = max(ends, default=0.0)
    unit = seconds(largest).rpartition(" ")[2]
    scale = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    for position, row in enumerate(shown):
        _time_bar(ax, position, row, scale)
    if rest:
        figure.write_beside(ax, f"{seconds(rest_s)} in sum", 0.0, len(shown), gap=4)
    figure.name_rows(ax, labels, parse_math=False)
    room = 16 * CHARACTER_WIDTH * (figure.SMALL_POINTS) / (72 * figure.width_inches(ax))
    ax.set_xlim(0, largest / scale / max(0.4, 1 - room) or 1.0)
    sources = sorted({row.time_source for row in shown if row.time_source is not None})
    measured = "measured alone" if analysis.view == "layer" else "measured in the program"
    source = measured if sources == ["measured"] else " or ".join(sources)
    reached = "; % of its roof" if "measured" in sources else ""
    figure.name_across(ax, f"time ({unit}), {source}{reached}")
    _legend(ax, [row.bound for row in shown], markers=False, bracket=any(map(_serial, shown)))
    figure.tidy(ax)
    return ax


def memory(
    analysis: Analysis, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES
) -> Axes:
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
        ax = figure.column_axes(2.0, left=0.48, top=0.42, width=width)
        figure.write_title(ax, title(analysis))
    draw_memory(ax, analysis.live_memory, figure.FONT_POINTS)
    figure.tidy(ax)
    return ax


def layer_times_axes(
    analysis: Analysis, *, width: float = figure.COLUMN_INCHES, top: float = 0.42
) -> Axes:
    """Make a figure with room for `layer_times`: one row a layer, margins for their names."""
    _, _, labels = _bars(analysis)
    left = figure.names_margin(labels)
    return figure.column_axes(
        0.4 + top + figure.ROW_INCHES * max(2, len(labels)), left=left, top=top, width=width
    )


def _bars(analysis: Analysis) -> tuple[list[LayerRecord], list[LayerRecord], list[str]]:
    """Return the layers with bars of their own, the rest, and the names of all bars."""
    analysis = in_view(analysis)
    rows = [row for row in analysis.layer_records if row.leaf and row.time_s is not None]
    longest = sorted(rows, key=lambda row: -(row.time_s or 0.0))[: figure.MOST_BARS]
    kept = {(row.layer, row.phase) for row in longest}
    shown = [row for row in rows if (row.layer, row.phase) in kept]
    rest = [row for row in rows if (row.layer, row.phase) not in kept]
    names = short_names(analysis.layer_records)
    labels = [names[row.layer, row.phase] for row in shown]
    return shown, rest, labels + [f"{len(rest)} shorter {analysis.view}s"] * bool(rest)


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
    figure.write_beside(ax, said, max(time, (serial or 0.0) / scale), position, gap=4)


def _serial(row: LayerRecord) -> float | None:
    if row.compute_time_s is None or row.memory_time_s is None:
        return None
    return row.compute_time_s + row.memory_time_s


def _legend(
    ax: Axes, bounds: Iterable[str | None], *, markers: bool, bracket: bool = False
) -> None:
    """Name the colours (and shapes) that occur, in one line above the axes."""
    present = set(bounds)
    handles = [
        figure.mark_handle(f"{bound}-bound", BOUND_MARKERS[bound] if markers else "s", colour)
        for bound, colour in BOUND_COLOURS.items()
        if bound in present
    ]
    if bracket:
        handles.append(
            figure.line_handle("roofline bracket", color=INK, marker="|", markersize=5, linewidth=1)
        )
    figure.write_legend(ax, handles)


MOST_STEPS = 400
"""Longer schedules are drawn by the most that is alive in each of this many stretches."""

MOST_HELD = 0.2
"""What comes and goes is drawn alone where it is less than this share of what is held."""

WORKING_ALPHA, HELD_ALPHA = 0.75, 0.35

_SCALES = {"PB": 1e15, "TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}


def draw_memory(ax: Axes, live: LiveMemory, font_points: float) -> None:
    """Draw what comes and goes on what is held, which is left out where the rest would vanish."""
    alone = 0 < live.working_bytes < MOST_HELD * live.held_bytes
    left_out = live.held_bytes if alone else 0
    top = live.peak_bytes - left_out
    unit = si(top, "B").rpartition(" ")[2]
    scale = _SCALES[unit]
    edges, alive = steps(live.alive_bytes)
    tops = [(count - left_out) / scale for count in alive]
    held = (live.held_bytes - left_out) / scale
    ax.stairs(
        tops, edges, baseline=held, fill=True, color=WORKING, alpha=WORKING_ALPHA, linewidth=0
    )
    ax.fill_between([edges[0], edges[-1]], 0, held, color=NEUTRAL, alpha=HELD_ALPHA, linewidth=0)
    ax.stairs(tops, edges, baseline=None, color=INK, linewidth=0.7)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, top / scale * 1.22 or 1.0)
    figure.few_ticks(ax.xaxis, 6, integer=True)
    ax.set_xlabel(f"op, in the order of the schedule ({len(live.ops):,})", fontsize=font_points)
    ax.set_ylabel(f"alive{' on top' if alone else ''} ({unit})", fontsize=font_points)
    _mark_peak(
        ax, live, top / scale, f"peak {si(live.peak_bytes, 'B')}{' in all' * alone}", font_points
    )
    _memory_legend(ax, live, font_points, alone=alone)


def steps(alive: Sequence[int]) -> tuple[list[float], list[int]]:
    """Return the edges and heights of the steps to draw: at most `MOST_STEPS` of them."""
    count = min(len(alive), MOST_STEPS)
    cuts = [position * len(alive) // count for position in range(count + 1)]
    heights = [max(alive[low:high]) for low, high in pairwise(cuts)]
    return [float(cut) for cut in cuts], heights


def _mark_peak(ax: Axes, live: LiveMemory, height: float, said: str, font_points: float) -> None:
    middle = live.peak_position + 0.5
    ax.plot(
        [middle], [height], "o", color=INK, markersize=3.5, markeredgecolor=PAPER,
        markeredgewidth=0.8, clip_on=False,
    )  # fmt: skip
    share = middle / len(live.ops)
    align = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    where = shorten(live.peak_layer or live.peak_op)
    ax.annotate(
        f"{said}, {where}", (middle, height), (0, 5),
        textcoords="offset points", ha=align, va="bottom", fontsize=font_points - 1, color=INK,
        annotation_clip=False, parse_math=False,
    )  # fmt: skip


def _memory_legend(ax: Axes, live: LiveMemory, font_points: float, *, alone: bool) -> None:
    held, working = live.held_bytes, live.working_bytes
    handles = []
    if working:
        words = _words(live, working, held=False)
        handles.append(_band(f"{words} {si(working, 'B')}", WORKING, WORKING_ALPHA))
    if held:
        words = f"{_words(live, held, held=True)} {si(held, 'B')}"
        if alone:
            handles.append(_band(f"on top of {words}", "none", 0))
        else:
            handles.append(_band(words, NEUTRAL, HELD_ALPHA))
    figure.legend_above(
        ax, figure.left_of_names(ax), len(handles), handles, fontsize=font_points - 1,
        labelcolor=MUTED, handletextpad=0.4, columnspacing=0.8, handlelength=1.0,
    )  # fmt: skip


def _band(label: str, colour: str, alpha: float) -> Artist:
    return figure.patch_handle(label, color=colour, alpha=alpha, linewidth=0)


def _words(live: LiveMemory, whole: int, *, held: bool) -> str:
    """Name the kinds that a band is made of, those of less than a hundredth aside."""
    sizes = live.peak_by_kind
    return ", ".join(
        word
        for kind, word in KINDS.items()
        if (kind in HELD) == held and sizes.get(kind, 0) >= whole / 100
    )
