"""Figures in matplotlib: they take an Axes or make one, and give it back.

Colours are Okabe and Ito's, which the common colour blindnesses tell apart; every axis names
its unit, every time its source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from edgegraph.atomic import replacing
from edgegraph.errors import InputError
from edgegraph.report.words import title
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.frames import intensity
from edgegraph.units import seconds, si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOUND_COLOURS = {
    "compute": "#0072B2",
    "memory": "#E69F00",
    "network": "#CC79A7",
    "overhead": "#D55E00",
}
NEUTRAL = "#7f7f7f"
FORMATS = ("png", "svg", "pdf")
_MOST_BARS = 30


def roofline(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw layers and ops under the roofs of the device.

    A layer stands at its intensity (FLOP/byte) and the FLOP/s that it reached; filled where it
    was measured, hollow on its roof where it was not. Ops are small dots on their roofs.

    Args:
        analysis: An analysis with a device.
        ax: Where to draw; a new figure of one paper column where None.

    Raises:
        InputError: The analysis has no device.
    """
    device = analysis.device
    if device is None:
        raise InputError(
            f"{analysis.workload!r} was analysed without a device, so it has no roofs; calibrate"
            " this machine first, or hand in device="
        )
    ax = ax or _axes(5.2, 3.9)
    points = [
        (row, x, y, row.time_source == "measured")
        for row in _working_leaves(analysis)
        if (x := intensity(row)) and row.flops and (y := _reached(row))
    ]
    dots = [
        (x, op.flops / max(op.compute_time_s or 0.0, op.memory_time_s or 0.0), op.bound)
        for op in analysis.op_records
        if op.flops and op.time_s and op.bytes_read is not None and op.bytes_written is not None
        if (x := op.flops / max(1, op.bytes_read + op.bytes_written))
    ]
    x_values = [x for _, x, _, _ in points] + [
        device.ridge_point(dtype, level.name)
        for dtype in device.peak_flops_per_s
        for level in device.memory
    ]
    low, high = 10 ** math.floor(math.log10(min(x_values)) - 0.2), max(x_values) * 8
    _draw_roofs(analysis, ax, low, high)
    for x, y, bound in dots:
        ax.plot(x, y, ".", markersize=3, color=BOUND_COLOURS.get(bound or "", NEUTRAL), alpha=0.5)
    for row, x, y, measured in points:
        colour = BOUND_COLOURS.get(row.bound or "", NEUTRAL)
        face = colour if measured else "none"
        ax.plot(x, y, "o", markersize=7, markeredgecolor=colour, markerfacecolor=face, zorder=3)
    _label_points(ax, [(_short(row), x, y) for row, x, y, _ in points])
    ax.set(xscale="log", yscale="log", xlim=(low, high))
    bottom = min([y for _, _, y, _ in points] + [max(device.peak_flops_per_s.values()) / 1e3])
    ax.set_ylim(10 ** math.floor(math.log10(bottom)), 3 * max(device.peak_flops_per_s.values()))
    ax.set_xlabel("arithmetic intensity (FLOP/byte)")
    ax.set_ylabel("FLOP/s")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    timed = "measured alone" if any(m for *_, m in points) else "on the roof, not measured"
    ax.set_title(f"{title(analysis)}: layers {timed}", fontsize=9, loc="left")
    _tidy(ax)
    return ax


def layer_times(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw each layer's time as a bar, with the bracket that its roofs allow.

    The bracket runs from max(T_compute, T_memory), perfect overlap, to their sum, no overlap.

    Args:
        analysis: An analysis with a device or with measured layers.
        ax: Where to draw; a new figure of one paper column where None.

    Raises:
        InputError: The analysis has no times at all.
    """
    rows = _working_leaves(analysis)
    if not any(row.time_s is not None for row in rows):
        raise InputError(
            f"{analysis.workload!r} has neither measured nor estimated times; measure it, or"
            " calibrate this machine first"
        )
    shown = sorted(rows, key=lambda row: -(row.time_s or 0.0))[:_MOST_BARS]
    shown = [row for row in rows if row in shown]
    ax = ax or _axes(5.2, 0.9 + 0.3 * len(shown))
    largest = max([row.time_s or 0.0 for row in rows] + [_serial(row) or 0.0 for row in shown])
    scale, unit = _time_scale(largest)
    for place, row in enumerate(shown):
        measured = row.time_source == "measured"
        colour = BOUND_COLOURS.get(row.bound or "", NEUTRAL)
        ax.barh(
            place, (row.time_s or 0.0) / scale, height=0.62, color=colour if measured else "none",
            edgecolor=colour, linewidth=1, alpha=0.85,
        )  # fmt: skip
        serial = _serial(row)
        if serial is not None and row.compute_time_s is not None and row.memory_time_s is not None:
            overlapped = max(row.compute_time_s, row.memory_time_s)
            ax.plot(
                [overlapped / scale, serial / scale], [place, place], "|-", color="black",
                markersize=9, linewidth=1.4, solid_capstyle="butt",
            )  # fmt: skip
    ax.set_yticks(range(len(shown)), [_short(row) for row in shown])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    sources = {row.time_source for row in shown if row.time_source is not None}
    source = "measured alone" if sources == {"measured"} else " or ".join(sorted(sources))
    ax.set_xlabel(f"time ({unit}), {source}; black: roofline bracket, overlap to no overlap")
    hidden = len(rows) - len(shown)
    rest = f" ({hidden} shorter ones left out)" if hidden else ""
    ax.set_title(f"{title(analysis)}{rest}", fontsize=9, loc="left")
    _legend(ax, [row.bound for row in shown])
    _tidy(ax)
    return ax


PLOTS = {"roofline": roofline, "layer_times": layer_times}
"""Every plot of one analysis by its name."""


def save_figure(ax: Axes, path: str | Path) -> Path:
    """Write the figure that holds `ax`, as PNG, SVG or PDF by the path's ending.

    Raises:
        InputError: The ending is another one, or the folder cannot be written.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot write {path}: choose a name that ends in .png, .svg or .pdf")
    figure = ax.get_figure(root=True)
    assert figure is not None
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=200)
    return path


def _axes(width: float, height: float) -> Axes:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure.subplots()


def _draw_roofs(analysis: Analysis, ax: Axes, low: float, high: float) -> None:
    """Draw the roofs that bind some op, and the device's first and last in any case."""
    device = analysis.device
    assert device is not None
    used = {op.roof for op in analysis.op_records if op.flops}
    dtypes = [d for i, d in enumerate(device.peak_flops_per_s) if i == 0 or d in used]
    peak = max(device.peak_flops_per_s[dtype] for dtype in dtypes)
    for dtype in dtypes:
        rate = device.peak_flops_per_s[dtype]
        slowest = device.memory[0].bandwidth_bytes_per_s
        ax.plot([rate / slowest, high], [rate, rate], "-", color="0.35", linewidth=1.3, zorder=1)
        ax.annotate(
            f"{dtype} {si(rate, 'FLOP/s')}", (high, rate), (-3, 3), textcoords="offset points",
            ha="right", fontsize=7, color="0.35",
        )  # fmt: skip
    used_levels = {op.level for op in analysis.op_records if op.bytes_read or op.bytes_written}
    levels = [m for m in device.memory if m.name in used_levels or m is device.memory[-1]]
    for number, level in enumerate(levels):
        rate = level.bandwidth_bytes_per_s
        top = peak / rate
        ax.plot([low, top], [low * rate, peak], "-", color="0.35", linewidth=1.3, zorder=1)
        start = low * 1.5 * 1.9 ** (len(levels) - 1 - number)
        ax.annotate(
            f"{level.name} {si(rate, 'B/s')}", (start, start * rate), (2, 4),
            textcoords="offset points", fontsize=7, color="0.35",
            rotation=_slope(ax, low, high), rotation_mode="anchor",
        )  # fmt: skip


def _slope(ax: Axes, low: float, high: float) -> float:
    """Give roughly the angle of a bandwidth roof on the page, in degrees."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    decades_up = 3.5
    decades_across = math.log10(high / low)
    return math.degrees(
        math.atan2(height * 0.75 / decades_up, width * 0.8 / math.log10(high / low))
    )


def _label_points(ax: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write names beside their points, moving one down where it would cover another."""
    taken: list[tuple[float, float]] = []
    for name, x, y in sorted(points, key=lambda point: -point[2]):
        at = (math.log10(x), math.log10(y))
        below = sum(abs(at[0] - u) < 0.9 and abs(at[1] - v) < 0.22 for u, v in taken)
        taken.append(at)
        ax.annotate(
            name, (x, y), (7, -3 - 8 * below), textcoords="offset points", fontsize=7, zorder=4,
            parse_math=False,
        )  # fmt: skip


def _working_leaves(analysis: Analysis) -> list[LayerRecord]:
    return [
        row
        for row in analysis.layer_records
        if row.leaf and (row.flops or row.bytes_read or row.bytes_written or row.time_s)
    ]


def _reached(row: LayerRecord) -> float | None:
    """Give the FLOP/s of a layer, by its measured time or else by its roof."""
    time = row.time_s if row.time_source == "measured" else _overlapped(row)
    return row.flops / time if row.flops and time else None


def _overlapped(row: LayerRecord) -> float | None:
    if row.compute_time_s is None or row.memory_time_s is None:
        return None
    return max(row.compute_time_s, row.memory_time_s)


def _serial(row: LayerRecord) -> float | None:
    if row.compute_time_s is None or row.memory_time_s is None:
        return None
    return row.compute_time_s + row.memory_time_s


def _short(row: LayerRecord) -> str:
    """Name a layer without its network; long names keep their end."""
    name = row.layer.partition("/")[2] or row.layer
    if row.phase != "forward":
        name += f" ({row.phase})"
    return name if len(name) <= 34 else "…" + name[-33:]


def _time_scale(largest: float) -> tuple[float, str]:
    unit = seconds(largest).rpartition(" ")[2]
    return {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit], unit


def _legend(ax: Axes, bounds: Sequence[str | None]) -> None:
    present = [bound for bound in BOUND_COLOURS if bound in bounds]
    handles = [
        ax.barh(0, 0, color=BOUND_COLOURS[bound], label=f"{bound}-bound") for bound in present
    ]
    if handles:
        ax.legend(handles=handles, fontsize=7, frameon=False, loc="best")


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_fontsize(8)
    ax.yaxis.label.set_fontsize(8)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    ax.title.set_parse_math(False)
