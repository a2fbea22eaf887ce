"""The roofline: roofs, layers with their names, ops as dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgegraph.base.units import si
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.reporting.figure import figure_of, log_ticks, write_values
from edgegraph.reporting.labels import (
    CHARACTER_WIDTH,
    Point,
    Rectangle,
    place_names,
    short_names,
    text_rectangle,
)
from edgegraph.reporting.palette import BOUND_MARKERS, INK, PAPER, bound_colour
from edgegraph.results.analysis import Analysis, LayerRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMES = 16
"""Layers beyond these, by share of the time, are drawn without name."""

MOST_DECADES = 7
_SAME_ROOF = 1.6
"""Bandwidths closer than this ratio share one label, for their lines lie on each other."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A layer in the plot; `roof` is the FLOP/s that its own roof allows."""

    row: LayerRecord
    x: float
    y: float
    roof: float | None

    @property
    def measured(self) -> bool:
        return self.row.time_source == "measured"

    @property
    def size(self) -> float:
        """Diameter in points; the area grows with the share of the time."""
        return 4.2 + 6.0 * math.sqrt(min(1.0, self.row.share or 0.0))


def draw_roofline(ax: Axes, analysis: Analysis, device: Device, font_points: float) -> None:
    """Draw the roofline of an analysis, which has that device, on empty axes."""
    leaves = [row for row in analysis.layer_records if row.leaf and row.time_s is not None]
    marks = [mark for row in leaves if (mark := _mark(row)) is not None]
    dots = _dots(analysis)
    dtypes, levels = _used_roofs(analysis, device)
    peak = max(device.peak_flops_per_s[dtype] for dtype in dtypes)
    ridges = [peak / level.bandwidth_bytes_per_s for level in levels]
    xs = [mark.x for mark in marks] + ridges
    low, high = min(min(xs) / 3, min(ridges) / 60), max(max(xs) * 4, max(ridges) * 30)
    bottom = min([mark.y / 3 for mark in marks] + [peak / 1e3])
    bottom = max(bottom, peak / 10**MOST_DECADES)
    logarithmic(ax, (low, high), (bottom, 4 * peak))
    taken = draw_roofs(ax, device, dtypes, levels, font_points)
    roofs = covered_by_lines(ax)
    for x, y, bound in dots:
        ax.plot(x, y, ".", markersize=2.2, markeredgewidth=0, color=bound_colour(bound), alpha=0.55)
    for mark in marks:
        _draw_mark(ax, mark)
    _name_marks(ax, marks, short_names(analysis.layer_records), taken, roofs, font_points - 0.5)
    note = ""
    if len(leaves) > len(marks):
        hidden = len(leaves) - len(marks)
        # Without FLOPs or bytes it has no place on logarithmic axes.
        note = f"; {hidden} layer{'s' * (hidden > 1)} not drawn"
    ax.set_xlabel(f"arithmetic intensity (FLOP/byte){note}", fontsize=font_points)
    reached = "reached" if any(mark.measured for mark in marks) else "possible"
    ax.set_ylabel(f"FLOP/s {reached}", fontsize=font_points)


def logarithmic(ax: Axes, across: tuple[float, float], up: tuple[float, float]) -> None:
    """Set the limits of both axes, and write their numbers."""
    ax.set(xscale="log", yscale="log", xlim=across, ylim=up)
    for axis in (ax.xaxis, ax.yaxis):
        log_ticks(axis, 9)
    write_values(ax.xaxis, lambda value: f"{value:g}" if value < 1000 else si(value))
    write_values(ax.yaxis, si)


def _mark(row: LayerRecord) -> _Mark | None:
    """Place a layer, unless it has no place on logarithmic axes."""
    x = row.intensity_flops_per_byte
    if not x or not row.flops or not row.time_s:
        return None
    overlapped = max(row.compute_time_s or 0.0, row.memory_time_s or 0.0)
    return _Mark(row, x, row.flops / row.time_s, row.flops / overlapped if overlapped else None)


def _dots(analysis: Analysis) -> list[tuple[float, float, str | None]]:
    """Place the ops on their roofs; ops that would cover each other give one dot."""
    found: dict[tuple[int, int, str | None], tuple[float, float, str | None]] = {}
    for op in analysis.op_tree.leaves:
        if not op.flops or op.bytes_read is None:
            continue
        moved = op.bytes_read + (op.bytes_written or 0)
        overlapped = max(op.compute_time_s or 0.0, op.memory_time_s or 0.0)
        if moved and overlapped:
            x, y = op.flops / moved, op.flops / overlapped
            cell = (round(40 * math.log10(x)), round(40 * math.log10(y)), op.bound)
            found.setdefault(cell, (x, y, op.bound))
    return list(found.values())


def _used_roofs(analysis: Analysis, device: Device) -> tuple[list[str], list[MemoryLevel]]:
    """Return the roofs that bind some op; the device's first and last where none does."""
    dtypes = {op.roof for op in analysis.op_records if op.flops}
    levels = {op.level for op in analysis.op_records if op.bytes_read or op.bytes_written}
    used_dtypes = [dtype for dtype in device.peak_flops_per_s if dtype in dtypes]
    used_levels = [level for level in device.memory if level.name in levels]
    return (
        used_dtypes or [next(iter(device.peak_flops_per_s))],
        used_levels or [device.memory[-1]],
    )


def draw_roofs(
    ax: Axes, device: Device, dtypes: Sequence[str], levels: Sequence[MemoryLevel], size: float
) -> list[Rectangle]:
    """Draw and name the roofs; gives the room that their names take."""
    low, high = ax.get_xlim()
    peak = max(device.peak_flops_per_s[dtype] for dtype in dtypes)
    fastest = max(level.bandwidth_bytes_per_s for level in levels)
    taken: list[Rectangle] = []
    for dtype in dtypes:
        rate = device.peak_flops_per_s[dtype]
        ax.plot([rate / fastest, high], [rate, rate], color=INK, linewidth=1.0, zorder=1.5)
        name = f"{dtype} {si(rate, 'FLOP/s')}"
        ax.annotate(
            name, (high, rate), (-1, 2), textcoords="offset points", ha="right",
            fontsize=size - 0.5, color=INK,
        )  # fmt: skip
        x, y = to_points(ax, high, rate)
        taken.append(text_rectangle(name, x - CHARACTER_WIDTH * size * len(name), y + 2, size))
    for level in levels:
        rate = level.bandwidth_bytes_per_s
        ax.plot([low, peak / rate], [low * rate, peak], color=INK, linewidth=1.0, zorder=1.5)
    for group in _groups(levels):
        rate = max(level.bandwidth_bytes_per_s for level in group)
        name = f"{group[0].name} {si(rate, 'B/s')}"
        if len(group) > 1:
            slowest = si(group[-1].bandwidth_bytes_per_s, "B/s")
            name = f"{group[0].name} to {group[-1].name}, {si(rate, 'B/s')} to {slowest}"
        taken.extend(_name_slope(ax, name, rate, size - 0.5))
    return taken


def _groups(levels: Sequence[MemoryLevel]) -> list[list[MemoryLevel]]:
    groups: list[list[MemoryLevel]] = []
    for level in sorted(levels, key=lambda level: -level.bandwidth_bytes_per_s):
        if groups and groups[-1][-1].bandwidth_bytes_per_s < (
            _SAME_ROOF * level.bandwidth_bytes_per_s
        ):
            groups[-1].append(level)
        else:
            groups.append([level])
    return groups


def _name_slope(ax: Axes, name: str, rate: float, size: float) -> list[Rectangle]:
    """Write a bandwidth along its roof, from where the roof enters the axes."""
    low, bottom = ax.get_xlim()[0], ax.get_ylim()[0]
    start = max(low, bottom / rate) * 1.3
    x, y = to_points(ax, start, start * rate)
    further_x, further_y = to_points(ax, start * 10, start * 10 * rate)
    angle = math.atan2(further_y - y, further_x - x)
    ax.annotate(
        name, (start, start * rate), (-2.5 * math.sin(angle), 2.5 * math.cos(angle)),
        textcoords="offset points", rotation=math.degrees(angle), rotation_mode="anchor",
        fontsize=size, color=INK, va="bottom",
    )  # fmt: skip
    step = CHARACTER_WIDTH * size
    return [
        Rectangle(left, below, left + step, below + 1.4 * size)
        for number in range(len(name))
        for left, below in [(x + number * step * math.cos(angle) - step / 2,
                             y + number * step * math.sin(angle))]
    ]  # fmt: skip


def _draw_mark(ax: Axes, mark: _Mark) -> None:
    colour = bound_colour(mark.row.bound)
    if mark.measured and mark.roof is not None:
        ax.plot([mark.x, mark.x], [mark.y, mark.roof], color=colour, linewidth=0.6, alpha=0.7)
    ax.plot(
        mark.x, mark.y, BOUND_MARKERS.get(mark.row.bound or "", "o"), markersize=mark.size,
        markerfacecolor=colour if mark.measured else PAPER,
        markeredgewidth=0.5 if mark.measured else 0.9,
        markeredgecolor=PAPER if mark.measured else colour, zorder=3,
    )  # fmt: skip


def _name_marks(
    ax: Axes,
    marks: Sequence[_Mark],
    names: dict[tuple[str, str], str],
    taken: Sequence[Rectangle],
    roofs: Sequence[Rectangle],
    size: float,
) -> None:
    """Write the names of the layers that take most of the time."""
    ranked = sorted(marks, key=lambda mark: -(mark.row.share or 0.0))
    points = [
        Point(
            names[mark.row.layer, mark.row.phase] if rank < MOST_NAMES else "",
            *to_points(ax, mark.x, mark.y),
            mark.size / 2,
        )
        for rank, mark in enumerate(ranked)
    ]
    left, bottom = to_points(ax, ax.get_xlim()[0], ax.get_ylim()[0])
    right, top = to_points(ax, ax.get_xlim()[1], ax.get_ylim()[1])
    stems = [
        Rectangle(x - 0.5, y, x + 0.5, up)
        for mark in marks
        if mark.roof is not None and mark.measured
        for x, y in [to_points(ax, mark.x, mark.y)]
        for up in [to_points(ax, mark.x, mark.roof)[1]]
    ]
    places = place_names(points, size, Rectangle(left, bottom, right, top), taken, [*stems, *roofs])
    for number, (x, y) in places.items():
        point = points[number]
        ax.annotate(
            point.name, (ranked[number].x, ranked[number].y), (x - point.x, y - point.y),
            textcoords="offset points", fontsize=size, color=INK, zorder=4, va="bottom",
            parse_math=False,
        )  # fmt: skip


def covered_by_lines(ax: Axes) -> list[Rectangle]:
    """Cover the roofs with small rectangles."""
    covered: list[Rectangle] = []
    for line in ax.get_lines():
        (x, y), (to_x, to_y) = (
            to_points(ax, float(across), float(up))
            for across, up in zip(
                np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True
            )
        )
        steps = max(1, round(math.hypot(to_x - x, to_y - y) / 3))
        for step in range(steps + 1):
            at_x, at_y = x + (to_x - x) * step / steps, y + (to_y - y) * step / steps
            covered.append(Rectangle(at_x - 1.5, at_y - 1.5, at_x + 1.5, at_y + 1.5))
    return covered


def to_points(ax: Axes, x: float, y: float) -> tuple[float, float]:
    """Return a place on the axes in points from the figure's lower left corner."""
    left, bottom = ax.transData.transform((x, y)) * 72 / figure_of(ax).dpi
    return float(left), float(bottom)
