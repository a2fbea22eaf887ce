"""The overlap study as a figure: every measured time in the bracket of its roofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edgegraph.base.units import percent, seconds
from edgegraph.errors import InputError
from edgegraph.reporting.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    MOST_BARS,
    ROW_INCHES,
    SMALL_POINTS,
    column_axes,
    names_margin,
    tidy,
    write_legend,
    write_title,
)
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.palette import BOUND_COLOURS, MUTED, NEUTRAL
from edgegraph.studies.overlap.result import ABOVE, BELOW, UNCLEAR, WITHIN, Bracket, OverlapStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    WITHIN: BOUND_COLOURS["compute"],
    ABOVE: BOUND_COLOURS["overhead"],
    BELOW: BOUND_COLOURS["network"],
    UNCLEAR: NEUTRAL,
}
MARKERS = {WITHIN: "o", ABOVE: "^", BELOW: "v", UNCLEAR: "x"}
WHOLE = "whole program"
_NAME = 34
_FEW_DECADES = 100
"""Axes that span less than this ratio have ticks at 2 and 5 too."""


def draw(study: OverlapStudy, ax: Axes | None = None, *, width: float = COLUMN_INCHES) -> Axes:
    """Draw every layer's measured time in its bracket, from perfect to no overlap.

    Args:
        study: A study that was made with a device.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on, times on a logarithmic scale.

    Raises:
        InputError: The study was made without a device.
    """
    if study.whole is None:
        raise InputError(
            f"the overlap study of {study.workload!r} was made without a device, so there are no"
            " brackets; calibrate this machine first, or pass device="
        )
    longest = sorted(study.layers, key=lambda bracket: -bracket.time_s)[:MOST_BARS]
    shown = [study.whole, *(bracket for bracket in study.layers if bracket in longest)]
    labels = [label(bracket) for bracket in shown]
    if ax is None:
        height = 1.02 + ROW_INCHES * max(2, len(shown))
        ax = column_axes(height, left=names_margin(labels), top=0.53, width=width)
        at = "" if study.batch is None else f", batch {study.batch}"
        write_title(ax, f"{study.workload}{at}, {study.target}: overlap")
    for place, bracket in enumerate(shown):
        _row(ax, place, bracket)
    ax.set_xscale("log")
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ends = [end for row in shown for end in (row.overlapped_s, row.serial_s, row.time_s)]
    ax.set_xlim(min(ends) / 2, max(ends) * (max(ends) / min(ends)) ** 0.3)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    few = max(ends) / min(ends) < _FEW_DECADES
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=6))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("time, measured (roofline bracket in grey)", fontsize=FONT_POINTS)
    _legend(ax, shown)
    tidy(ax)
    ax.tick_params(axis="y", length=0)
    return ax


def label(bracket: Bracket) -> str:
    """Name a bracket: its layer without the network's own name, and a phase that is not forward."""
    if bracket.layer is None:
        return WHOLE
    _, _, below = bracket.layer.partition("/")
    phase = "" if bracket.phase in (None, "forward") else f" ({bracket.phase})"
    return shorten(below or bracket.layer, _NAME) + phase


def _row(ax: Axes, place: int, bracket: Bracket) -> None:
    ax.plot(
        [bracket.overlapped_s, bracket.serial_s], [place, place], "|-", color=NEUTRAL, alpha=0.55,
        linewidth=6, solid_capstyle="butt", markersize=6, markeredgewidth=1.2,
    )  # fmt: skip
    ax.plot(
        bracket.time_s, place, MARKERS[bracket.place], color=COLOURS[bracket.place],
        markersize=4.5,
    )  # fmt: skip
    overlap = bracket.overlap
    said = seconds(bracket.time_s)
    if bracket.place == WITHIN and overlap is not None:
        said += f", {percent(min(1.0, max(0.0, overlap)))}"
    ax.annotate(
        said, (max(bracket.time_s, bracket.serial_s), place), (6, 0), va="center",
        textcoords="offset points", fontsize=SMALL_POINTS, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _legend(ax: Axes, shown: list[Bracket]) -> None:
    said = {
        WITHIN: "within (% overlapped)",
        ABOVE: "above: other costs",
        BELOW: "below: peaks too low",
        UNCLEAR: "too noisy to tell",
    }
    present = {bracket.place for bracket in shown}
    handles: list[Line2D | Patch] = [
        Patch(color=NEUTRAL, alpha=0.55, label="from max to sum of the two")
    ]
    handles += [
        Line2D([], [], linestyle="none", marker=MARKERS[place], color=COLOURS[place],
               markersize=4.5, label=text)
        for place, text in said.items()
        if place in present
    ]  # fmt: skip
    write_legend(ax, handles, columns=2)
