"""A scaling study as a figure: the speedup, and what a step consists of, over the chips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from edgegraph.base.units import seconds
from edgegraph.errors import InputError
from edgegraph.reporting.figure import COLUMN_INCHES, FONT_POINTS, SMALL_POINTS, tidy, write_title
from edgegraph.reporting.palette import (
    CURVE_COLOURS,
    CURVE_MARKERS,
    INK,
    MUTED,
    PAPER,
    bound_colour,
)
from edgegraph.studies.scaling.result import Scaling, ScalingPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT_INCHES = 3.9
_LINES = {"weak": "-", "strong": "--"}
_PARTS = ("compute", "memory", "network")


def draw(
    scaling: Scaling, axes: tuple[Axes, Axes] | None = None, *, width: float = COLUMN_INCHES
) -> tuple[Axes, Axes]:
    """Draw the speedup over the chips, and below it the three times of one chip.

    Weak scaling is solid, strong scaling dashed; the grey line is a perfect speedup.

    Args:
        scaling: With at least one mesh that has a time.
        axes: Where to draw; a new figure where None.
        width: Of a new figure, in inches.

    Returns:
        The two axes, with logarithmic scales.

    Raises:
        InputError: No mesh has a time.
    """
    known = [point for point in scaling.points if scaling.speedup(point)]
    if not known:
        raise InputError(
            f"no mesh of the scaling study of {scaling.workload!r} has a time; look at the errors"
            " in its frame"
        )
    if axes is None:
        figure = Figure(figsize=(width, _HEIGHT_INCHES))
        above, below = figure.subplots(2, 1, sharex=True)
        figure.subplots_adjust(left=0.2, right=0.965, bottom=0.1, top=0.895, hspace=0.24)
        write_title(above, f"{scaling.workload}, {scaling.target}")
        axes = above, below
    above, below = axes
    chips = sorted({point.chips for point in known})
    above.plot(chips, chips, color=MUTED, linewidth=0.8, label="perfect")
    measured = any(point.latency is not None for point in known)
    for number, (name, points) in enumerate(scaling.series.items()):
        held = [point for point in points if point in known]
        _speedups(above, scaling, name, held, number)
        _parts(below, name, held, labelled=number == 0)
    source = "measured" if measured else "predicted"
    above.set_ylabel(f"speedup ({source})", fontsize=FONT_POINTS)
    below.set_ylabel("time of a step, one chip", fontsize=FONT_POINTS)
    below.set_xlabel("chips", fontsize=FONT_POINTS)
    for ax in axes:
        _finish(ax, chips)
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return axes


def _speedups(
    ax: Axes, scaling: Scaling, name: str, points: list[ScalingPoint], number: int
) -> None:
    colour, marker = CURVE_COLOURS[number], CURVE_MARKERS[number]
    ax.plot(
        [point.chips for point in points], [scaling.speedup(point) or 0.0 for point in points],
        _LINES[name], color=colour, marker=marker, markersize=3.4, linewidth=1.1,
        markeredgecolor=PAPER, markeredgewidth=0.4, label=name,
    )  # fmt: skip


def _parts(ax: Axes, name: str, points: list[ScalingPoint], *, labelled: bool) -> None:
    for part, marker in zip(_PARTS, CURVE_MARKERS, strict=False):
        found = [(p.chips, time) for p in points if (time := getattr(p, f"{part}_time_s"))]
        if found:
            ax.plot(
                *zip(*found, strict=True), _LINES[name], color=bound_colour(part), marker=marker,
                markersize=3.0, linewidth=1.0, label=part if labelled else None,
            )  # fmt: skip
    waits = [(p.chips, p.exposed_network_s) for p in points if p.exposed_network_s]
    if waits:
        ax.plot(
            *zip(*waits, strict=True), ":", color=bound_colour("network"), linewidth=1.2,
            label="network, exposed" if labelled else None,
        )  # fmt: skip


def _finish(ax: Axes, chips: list[int]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(FixedLocator(chips))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    tidy(ax)
    ax.legend(
        loc="lower left", bbox_to_anchor=(-0.22, 1.0), ncols=4, fontsize=SMALL_POINTS,
        frameon=False, labelcolor=INK, handlelength=1.8, handletextpad=0.4, columnspacing=1.0,
        borderpad=0.1, borderaxespad=0.2,
    )  # fmt: skip
