"""The roofline of an improvement: an arrow from the old place of every changed site to its new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgegraph.base.units import times
from edgegraph.errors import InputError
from edgegraph.hlo.op_name import UNATTRIBUTED, parse_op_name
from edgegraph.reporting.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    SMALL_POINTS,
    column_axes,
    line_handle,
    mark_handle,
    tidy,
    write_legend,
    write_title,
)
from edgegraph.reporting.labels import Point, Rectangle, place_names, shorten
from edgegraph.reporting.palette import BOUND_COLOURS, INK, MUTED, NEUTRAL, PAPER
from edgegraph.reporting.roofline_plot import covered_by_lines, draw_roofs, logarithmic, to_points
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import Change

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMES = 8
"""Changes beyond these, by what they save, are drawn without name."""

MOST_CHARACTERS = 24
"""Of a layer's name."""

ALLOWED_ROOFS = {"bf16": "bf16", "int8": "s8"}
"""Peaks that are drawn beside that of float32 where a form may use them."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where equal sites stood and stand: FLOP/byte, and FLOP/s reached.

    What is computed is that of the plain form in both places, so that an arrow goes up by as much
    as the form is faster, and to the right by as much less as it reads and writes.
    """

    change: Change
    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def name(self) -> str:
        """The first layer that it stands in, within the model, and the gain."""
        within = self.layer.partition("/")[2] or self.layer
        return f"{shorten(within, MOST_CHARACTERS)} {times(self.change.gain)}"

    @property
    def layer(self) -> str:
        """The first layer that it stands in."""
        first = self.change.scopes[0] if self.change.scopes else ""
        return parse_op_name(f"{first}/site").layer or UNATTRIBUTED


def moves(study: Improvement) -> tuple[Move, ...]:
    """Return the kept changes of which is known what they compute, those that save most first."""
    found = [
        Move(
            change,
            (change.flops / change.plain_bytes, change.flops / change.plain_s),
            (change.flops / change.form_bytes, change.flops / change.form_s),
        )
        for change in study.changes
        if change.kept and change.flops and change.plain_bytes and change.form_bytes
    ]
    return tuple(sorted(found, key=lambda move: -move.change.saved_s))


def draw(study: Improvement, ax: Axes | None = None, *, width: float = COLUMN_INCHES) -> Axes:
    """Draw where changed sites stood under the roofs of the device, and where they stand now.

    Args:
        study: A study in which something was kept.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches.

    Returns:
        The axes drawn on, both logarithmic; each kind of sites timed alone.

    Raises:
        InputError: Nothing was kept of which is known what it computes and moves.
    """
    found = moves(study)
    if not found:
        raise InputError(
            f"of nothing that was kept of {study.workload!r} is known what it computes and moves"
        )
    if ax is None:
        ax = column_axes(2.95, left=0.55, top=0.42, width=width)
        write_title(ax, f"{study.workload}: changed sites, old and new place")
    taken = _roofs(ax, study, found)
    lines = covered_by_lines(ax)
    colour = BOUND_COLOURS["compute"]
    for move in reversed(found):
        ax.annotate(
            "", move.after, move.before, zorder=2,
            arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.7, "shrinkA": 2,
                        "shrinkB": 2, "mutation_scale": 6},
        )  # fmt: skip
        ax.plot(
            *move.before, "o", markersize=3.5, markerfacecolor=PAPER, markeredgecolor=NEUTRAL,
            markeredgewidth=0.9, zorder=3,
        )  # fmt: skip
        ax.plot(
            *move.after, "o", markersize=4, markerfacecolor=colour, markeredgecolor=PAPER,
            markeredgewidth=0.5, zorder=3,
        )  # fmt: skip
    _names(ax, found, taken, lines)
    ax.set_xlabel("arithmetic intensity (FLOP/byte)", fontsize=FONT_POINTS)
    ax.set_ylabel("FLOP/s reached", fontsize=FONT_POINTS)
    old = line_handle(
        "before", color=NEUTRAL, marker="o", markersize=3.5, linewidth=0, markerfacecolor=PAPER
    )
    write_legend(ax, [old, mark_handle("after", "o", colour)])
    tidy(ax)
    return ax


def _roofs(ax: Axes, study: Improvement, found: tuple[Move, ...]) -> list[Rectangle]:
    """Set the axes and draw the roofs, where there are any; return the room of their names."""
    across, up = zip(*(place for move in found for place in (move.before, move.after)), strict=True)
    device = study.device
    if device is None:
        logarithmic(ax, (min(across) / 3, max(across) * 3), (min(up) / 3, max(up) * 3))
        return []
    dtypes = {device.roof_dtype("f32")}
    for permission, dtype in ALLOWED_ROOFS.items():
        if permission in study.allow and dtype in device.peak_flops_per_s:
            dtypes.add(dtype)
    peak = max(device.peak_flops_per_s[dtype] for dtype in dtypes)
    ridges = [peak / level.bandwidth_bytes_per_s for level in device.memory]
    logarithmic(
        ax,
        (min(*across, *ridges) / 3, max(*across, *ridges) * 4),
        (min(min(up) / 3, peak / 1e3), 4 * peak),
    )
    return draw_roofs(ax, device, sorted(dtypes), device.memory, FONT_POINTS)


def _names(
    ax: Axes, found: tuple[Move, ...], taken: list[Rectangle], lines: list[Rectangle]
) -> None:
    """Write the names of those that save most beside their new places."""
    points = [
        Point(move.name if rank < MOST_NAMES else "", *to_points(ax, *move.after), 2.0)
        for rank, move in enumerate(found)
    ]
    points += [Point("", *to_points(ax, *move.before), 2.0) for move in found]
    corners = [(ax.get_xlim()[n], ax.get_ylim()[n]) for n in (0, 1)]
    (left, bottom), (right, top) = (to_points(ax, *corner) for corner in corners)
    area = Rectangle(left, bottom, right, top)
    for number, (x, y) in place_names(points, SMALL_POINTS, area, taken, lines).items():
        point = points[number]
        ax.annotate(
            point.name, found[number].after, (x - point.x, y - point.y), va="bottom", color=INK,
            textcoords="offset points", fontsize=SMALL_POINTS, zorder=4, parse_math=False,
        )  # fmt: skip
