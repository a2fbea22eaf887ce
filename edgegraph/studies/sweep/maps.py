"""A sweep over two axes as maps: latency and throughput, a cell for each pair of sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgegraph.base.axes import BATCH
from edgegraph.base.units import seconds, si
from edgegraph.reporting import figure
from edgegraph.reporting.labels import CHARACTER_WIDTH
from edgegraph.reporting.palette import CURVE_COLOURS, INK, MUTED
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgegraph.studies.sweep.result import Sweep, SweepPoint

_ROW_INCHES, _TALL_ROW_INCHES, _MARGIN_INCHES = 0.24, 0.5, 0.42
_FAINTEST, _STRONGEST = 0.06, 0.62
"""Opacity of the least and the most."""

_CHARACTERS = 8
"""Of the longest value in a cell."""


def draw_maps(sweep: Sweep, axes: tuple[Axes, Axes] | None, *, width: float) -> tuple[Axes, Axes]:
    """Draw a map of the latency above one of the throughput.

    A ~ stands before what the roofline predicts, where nothing was measured; what is grey was NOISY
    or INVALID; a cross failed.
    """
    across, up = sweep.varied
    if axes is None:
        columns, rows = (len({point.size(axis) for point in sweep.points}) for axis in (across, up))
        upright = _is_narrow(0.835 * width / columns)
        row_inches = rows * (_TALL_ROW_INCHES if upright else _ROW_INCHES)
        height = 2 * (row_inches + _MARGIN_INCHES) + 0.3
        axes = figure.two_axes(
            width, height, left=0.15, right=0.985, bottom=0.42 / height, top=1 - 0.42 / height,
            hspace=0.2 / row_inches,
        )  # fmt: skip
        figure.write_title(axes[0], f"{sweep.workload}, {sweep.target}")
    above, below = axes
    _map(above, sweep, _latency, seconds)
    _map(below, sweep, _throughput, si)
    for ax, shown in ((above, "latency"), (below, "samples per second")):
        ax.set_title(shown, fontsize=figure.FONT_POINTS, color=INK, loc="left", pad=2)
        ax.set_ylabel(_word(up), fontsize=figure.FONT_POINTS)
    below.set_xlabel(_word(across), fontsize=figure.FONT_POINTS)
    marks = {
        "measured": any(point.latency is not None for point in sweep.points),
        "~: predicted": any(not _latency(point)[1] for point in sweep.points),
        "grey: noisy": any(point.verdict not in (None, OK) for point in sweep.points),
        "x: failed": any(point.error is not None for point in sweep.points),
    }
    said = ", ".join(mark for mark, occurs in marks.items() if occurs)
    above.set_title(said, fontsize=figure.SMALL_POINTS, color=MUTED, loc="right", pad=2)
    return axes


def _is_narrow(cell_inches: float) -> bool:
    """Return whether text has to stand upright in a cell."""
    return 72 * cell_inches < _CHARACTERS * CHARACTER_WIDTH * figure.SMALL_POINTS


def _word(axis: str) -> str:
    return "batch size" if axis == BATCH else axis


def _latency(point: SweepPoint) -> tuple[float | None, bool]:
    """Return the latency, and whether it was measured."""
    return (point.latency_s, True) if point.latency_s else (point.overlapped_time_s, False)


def _throughput(point: SweepPoint) -> tuple[float | None, bool]:
    if point.throughput_per_s:
        return point.throughput_per_s, True
    return point.batch / point.overlapped_time_s if point.overlapped_time_s else None, False


def _map(
    ax: Axes,
    sweep: Sweep,
    value: Callable[[SweepPoint], tuple[float | None, bool]],
    write: Callable[[float], str],
) -> None:
    across, up = sweep.varied
    columns = sorted({point.size(across) for point in sweep.points})
    rows = sorted({point.size(up) for point in sweep.points})
    known = [found for point in sweep.points if (found := value(point)[0])]
    least, most = min(known), max(known)
    span = math.log(most / least) or 1.0
    turned = 90 if _is_narrow(figure.width_inches(ax) / len(columns)) else 0
    for point in sweep.points:
        x, y = columns.index(point.size(across)), rows.index(point.size(up))
        found, measured = value(point)
        if found is None or point.error is not None:
            ax.plot(x, y, "x", color=MUTED, markersize=4)
            continue
        share = math.log(found / least) / span
        ax.bar(
            x, 1, width=1, bottom=y - 0.5, color=CURVE_COLOURS[0], linewidth=0,
            alpha=_FAINTEST + share * (_STRONGEST - _FAINTEST),
        )  # fmt: skip
        ax.text(
            x, y, f"{'' if measured else '~'}{write(found)}", ha="center", va="center",
            fontsize=figure.SMALL_POINTS, rotation=turned,
            color=INK if not measured or point.verdict == OK else MUTED,
        )  # fmt: skip
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(-0.5, len(rows) - 0.5)
    ax.set_xticks(range(len(columns)), map(str, columns))
    ax.set_yticks(range(len(rows)), map(str, rows))
    figure.tidy(ax)
    ax.tick_params(length=0)
