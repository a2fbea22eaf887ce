"""The overlap study as a figure: every measured time in the bracket of its roofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator

from edgegraph.errors import InputError
from edgegraph.report.names import shorten
from edgegraph.report.palette import BOUND_COLOURS, INK, MUTED, NEUTRAL
from edgegraph.report.placement import CHARACTER_WIDTH
from edgegraph.report.plots import FONT_POINTS, MOST_BARS, column_axes
from edgegraph.results.overlap_study import ABOVE, BELOW, UNCLEAR, WITHIN, Bracket, OverlapStudy
from edgegraph.units import percent, seconds

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
_ROW_INCHES = 0.19
_NAME = 34


def brackets(study: OverlapStudy, ax: Axes | None = None) -> Axes:
    """Draw every layer's measured time in its bracket, from perfect to no overlap.

    Args:
        study: A study that was made with a device.
        ax: Where to draw; a new figure of one paper column where None.

    Returns:
        The axes drawn on, times on a logarithmic scale.

    Raises:
        InputError: The study was made without a device.
    """
    if study.whole is None:
        raise InputError(
            f"the overlap study of {study.workload!r} was made without a device, so there are no"
            " brackets; calibrate this machine first, or hand in device="
        )
    longest = sorted(study.layers, key=lambda bracket: -bracket.time_s)[:MOST_BARS]
    shown = [study.whole, *(bracket for bracket in study.layers if bracket in longest)]
    labels = [label(bracket) for bracket in shown]
    if ax is None:
        left = 0.12 + CHARACTER_WIDTH * FONT_POINTS / 72 * max(map(len, labels))
        ax = column_axes(0.85 + _ROW_INCHES * max(2, len(shown)), left=left, top=0.36)
    for place, bracket in enumerate(shown):
        _row(ax, place, bracket)
    ax.set_xscale("log")
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ends = [end for row in shown for end in (row.overlapped_s, row.serial_s, row.time_s)]
    ax.set_xlim(min(ends) / 2, max(ends) * (max(ends) / min(ends)) ** 0.3)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    ax.xaxis.set_major_locator(LogLocator(numticks=6))
    ax.set_xlabel("time, measured (roofline bracket in grey)", fontsize=FONT_POINTS)
    _legend(ax, shown)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(which="both", labelsize=FONT_POINTS, colors=MUTED, labelcolor=INK, width=0.6)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.label.set_color(INK)
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
        textcoords="offset points", fontsize=FONT_POINTS - 1, color=MUTED, annotation_clip=False,
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
    start = -max(0.0, ax.get_position().x0 - 0.02) / ax.get_position().width
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(start, 1), ncols=2,
        fontsize=FONT_POINTS - 1, frameon=False, labelcolor=INK, borderpad=0.1, borderaxespad=0.2,
        handletextpad=0.4, columnspacing=1.0, handlelength=1.2,
    )  # fmt: skip
