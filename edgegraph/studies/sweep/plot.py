"""The sweep as a figure: latency and throughput over the batch size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from edgegraph.base.units import seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    SMALL_POINTS,
    figure_of,
    tidy,
    write_title,
)
from edgegraph.reporting.palette import CURVE_COLOURS, CURVE_MARKERS, INK, MUTED, NEUTRAL, PAPER
from edgegraph.results.verdicts import OK
from edgegraph.studies.sweep.choice import Choice, curve_name
from edgegraph.studies.sweep.result import Sweep, SweepPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT_INCHES = 3.4
_MOST_TICKS = 10
_LEGEND_COLUMNS = 4
_FEW_DECADES = 300
"""Axes that span less than this ratio have ticks at 2 and 5 too."""

_MARKER_POINTS = 3.4

Styles = Mapping[tuple[str | None, str], tuple[str, str]]
"""Colour and marker by curve."""


def draw(
    sweep: Sweep, axes: tuple[Axes, Axes] | None = None, *, width: float = COLUMN_INCHES
) -> tuple[Axes, Axes]:
    """Draw latency and throughput over the batch size, one above the other.

    Lines are measured: the median latency with a whisker up to the p90, and the best
    throughput. Bands are predicted: from max(T_compute, T_memory), perfect overlap, to their
    sum. Hollow marks were NOISY or INVALID, crosses failed. A dotted line marks the knee.

    Args:
        sweep: At least one of its points was measured.
        axes: Where to draw latency and throughput; a new figure where None.
        width: Of a new figure, in inches.

    Returns:
        The two axes, both with logarithmic scales.

    Raises:
        InputError: No point was measured.
    """
    if not any(point.latency is not None for point in sweep.points):
        raise InputError(
            f"no point of the sweep of {sweep.workload!r} was measured; look at the errors in"
            " its frame"
        )
    if axes is None:
        axes = _stacked_axes(sweep, width)
    above, below = axes
    styles = _styles(sweep)
    for name, points in sweep.series.items():
        colour, marker = styles[name]
        _band(above, points, colour, lambda batch, time_s: time_s)
        _band(below, points, colour, lambda batch, time_s: batch / time_s)
        _curve(above, points, colour, marker, lambda point: point.latency_s)
        _whiskers(above, points, colour)
        _curve(below, points, colour, marker, lambda point: point.throughput_per_s)
    _mark_knees(axes, sweep.knees, styles)
    _mark_failures(above, sweep)
    if sweep.max_latency_s is not None:
        _mark_budget(above, sweep.max_latency_s)
    _finish(axes, sweep)
    return axes


def _styles(sweep: Sweep) -> Styles:
    """Pair colours with markers; beyond six curves the colours come again with other markers."""
    count = len(CURVE_COLOURS)
    return {
        name: (
            CURVE_COLOURS[number % count],
            CURVE_MARKERS[(number + number // count) % count],
        )
        for number, name in enumerate(sweep.series)
    }


def _stacked_axes(sweep: Sweep, width: float) -> tuple[Axes, Axes]:
    figure = Figure(figsize=(width, _HEIGHT_INCHES))
    above, below = figure.subplots(2, 1, sharex=True)
    rows = math.ceil(len(_handles(sweep)) / _LEGEND_COLUMNS)
    figure.subplots_adjust(
        left=0.175, right=0.975, bottom=0.115, top=0.935 - 0.045 * rows, hspace=0.09
    )
    write_title(above, f"{sweep.workload}, {sweep.target}")
    return above, below


def _band(
    ax: Axes, points: Sequence[SweepPoint], colour: str, value: Callable[[int, float], float]
) -> None:
    """Fill what the roofline predicts, from perfect overlap to none."""
    known = [
        (point.batch, point.overlapped_time_s, point.serial_time_s)
        for point in points
        if point.overlapped_time_s and point.serial_time_s
    ]
    if not known:
        return
    batches = [batch for batch, _, _ in known]
    overlapped = [value(batch, low) for batch, low, _ in known]
    serial = [value(batch, high) for batch, _, high in known]
    ax.fill_between(batches, overlapped, serial, color=colour, alpha=0.22, linewidth=0)
    ax.plot(batches, overlapped, color=colour, linewidth=0.6, alpha=0.7)


def _curve(
    ax: Axes,
    points: Sequence[SweepPoint],
    colour: str,
    marker: str,
    value: Callable[[SweepPoint], float | None],
) -> None:
    found = [(point, height) for point in points if (height := value(point)) is not None]
    xs, ys = [point.batch for point, _ in found], [height for _, height in found]
    ax.plot(xs, ys, color=colour, linewidth=1.1)
    for point, height in found:
        face = colour if point.verdict == OK else PAPER
        ax.plot(
            point.batch, height, marker, color=colour, markersize=_MARKER_POINTS,
            markerfacecolor=face, markeredgewidth=0.9,
        )  # fmt: skip


def _whiskers(ax: Axes, points: Sequence[SweepPoint], colour: str) -> None:
    for point in points:
        if point.latency_s is not None and point.latency_p90_s is not None:
            ax.plot(
                [point.batch, point.batch], [point.latency_s, point.latency_p90_s], "-",
                color=colour, linewidth=0.8, marker="_", markersize=3, markevery=[1],
            )  # fmt: skip


def _mark_knees(axes: tuple[Axes, Axes], knees: Sequence[Choice], styles: Styles) -> None:
    """Mark every knee with a line; where curves share one, it has no curve's colour."""
    colours: dict[int, str] = {}
    for choice in knees:
        if choice.batch is not None:
            own = styles[choice.dtype, choice.options][0]
            colours[choice.batch] = MUTED if choice.batch in colours else own
    for batch, colour in colours.items():
        for ax in axes:
            ax.axvline(batch, color=colour, linewidth=0.8, linestyle=":", zorder=0.5)
        axes[1].annotate(
            f"knee {batch}", (batch, 0), (3, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=SMALL_POINTS, color=colour,
        )  # fmt: skip


def _mark_failures(ax: Axes, sweep: Sweep) -> None:
    """Put a cross at the top for every batch that failed."""
    for batch in sorted({point.batch for point in sweep.points if point.error is not None}):
        ax.plot(
            batch, 0.95, "x", transform=ax.get_xaxis_transform(), color=MUTED, markersize=4.5,
            markeredgewidth=1.2, clip_on=False,
        )  # fmt: skip


def _mark_budget(ax: Axes, budget_s: float) -> None:
    ax.axhline(budget_s, color=MUTED, linewidth=0.8, linestyle="--", zorder=0.5)
    ax.annotate(
        f"budget {seconds(budget_s)}", (0, budget_s), (3, 2), xycoords=("axes fraction", "data"),
        textcoords="offset points", fontsize=SMALL_POINTS, color=MUTED,
    )  # fmt: skip


def _finish(
    axes: tuple[Axes, Axes],
    sweep: Sweep,
) -> None:
    batches = sorted({point.batch for point in sweep.points})
    ticks = batches[:: math.ceil(len(batches) / _MOST_TICKS)]
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(FixedLocator([]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        low, high = ax.get_ylim()
        few = high / low < _FEW_DECADES
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=9))
        ax.yaxis.set_minor_formatter(NullFormatter())
        tidy(ax)
    above, below = axes
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    above.set_ylabel("latency (tick: p90)", fontsize=FONT_POINTS)
    below.set_ylabel("throughput (samples/s)", fontsize=FONT_POINTS)
    below.set_xlabel("batch size", fontsize=FONT_POINTS)
    above.legend(
        handles=_handles(sweep), loc="lower left", bbox_to_anchor=(-0.19, 1.0),
        ncols=_LEGEND_COLUMNS, fontsize=SMALL_POINTS, frameon=False, labelcolor=INK,
        borderpad=0.1, borderaxespad=0.2, handletextpad=0.4, columnspacing=1.0, handlelength=1.4,
    )  # fmt: skip
    figure_of(above).align_ylabels(axes)


def _handles(sweep: Sweep) -> list[Line2D | Patch]:
    """Explain what occurs."""
    styles = _styles(sweep)
    several = len(styles) > 1
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=_MARKER_POINTS, linewidth=1.1,
            label=curve_name(*name) if several else "measured",
        )
        for name, (colour, marker) in styles.items()
    ]  # fmt: skip
    shared = NEUTRAL if several else next(iter(styles.values()))[0]
    if any(point.serial_time_s for point in sweep.points):
        handles.append(Patch(color=shared, alpha=0.35, linewidth=0, label="roofline bracket"))
    if any(point.verdict not in (None, OK) for point in sweep.points):
        handles.append(
            Line2D([], [], linestyle="none", marker="o", markersize=_MARKER_POINTS, color=shared,
                   markerfacecolor=PAPER, label="noisy")
        )  # fmt: skip
    if any(point.error is not None for point in sweep.points):
        handles.append(
            Line2D([], [], linestyle="none", marker="x", markersize=4.5, color=MUTED,
                   label="failed")
        )  # fmt: skip
    return handles
