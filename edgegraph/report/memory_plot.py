"""Bytes alive along the schedule, drawn as two bands with the peak marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from edgegraph.report.memory_words import KINDS
from edgegraph.report.names import shorten
from edgegraph.report.palette import INK, MUTED, NEUTRAL, PAPER, WORKING
from edgegraph.results.live_memory import HELD, LiveMemory
from edgegraph.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_STEPS = 400
"""Longer schedules are drawn by the most that is alive in each of this many stretches."""

MOST_HELD = 0.2
"""What comes and goes is drawn alone where it is less than this share of what is held."""

WORKING_ALPHA, HELD_ALPHA = 0.75, 0.35

_SCALES = {"PB": 1e15, "TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}


def draw_memory(ax: Axes, live: LiveMemory, font_points: float) -> None:
    """Draw what comes and goes on top of what is held all the time.

    What is held is left out where the rest would vanish beside it.

    Args:
        ax: Where to draw.
        live: Of one program.
        font_points: Size of the text.
    """
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
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set_xlabel(f"op, in the order of the schedule ({len(live.ops):,})", fontsize=font_points)
    ax.set_ylabel(f"alive{' on top' if alone else ''} ({unit})", fontsize=font_points)
    _mark_peak(
        ax, live, top / scale, f"peak {si(live.peak_bytes, 'B')}{' in all' * alone}", font_points
    )
    _legend(ax, live, font_points, alone=alone)


def steps(alive: Sequence[int]) -> tuple[list[float], list[int]]:
    """Return the edges and heights of the steps to draw: at most `MOST_STEPS` of them.

    Example:
        >>> steps([3, 5, 4])
        ([0.0, 1.0, 2.0, 3.0], [3, 5, 4])
    """
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


def _legend(ax: Axes, live: LiveMemory, font_points: float, *, alone: bool) -> None:
    held, working = live.held_bytes, live.working_bytes
    handles = []
    if working:
        words = _words(live, working, held=False)
        handles.append(_patch(WORKING, WORKING_ALPHA, f"{words} {si(working, 'B')}"))
    if held:
        words = f"{_words(live, held, held=True)} {si(held, 'B')}"
        if alone:
            handles.append(_patch("none", 0, f"on top of {words}"))
        else:
            handles.append(_patch(NEUTRAL, HELD_ALPHA, words))
    figure, box = ax.get_figure(root=True), ax.get_position()
    only = figure is not None and len(figure.axes) == 1
    start = -max(0.0, box.x0 - 0.02) / box.width if only else 0.0
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(start, 1), ncols=len(handles),
        fontsize=font_points - 1, frameon=False, labelcolor=MUTED, borderpad=0.1,
        borderaxespad=0.2, handletextpad=0.4, columnspacing=0.8, handlelength=1.0,
    )  # fmt: skip


def _patch(colour: str, alpha: float, label: str) -> Patch:
    return Patch(color=colour, alpha=alpha, linewidth=0, label=label)


def _words(live: LiveMemory, whole: int, *, held: bool) -> str:
    """Name the kinds that a band is made of, those of less than a hundredth aside."""
    sizes = live.peak_by_kind
    return ", ".join(
        word
        for kind, word in KINDS.items()
        if (kind in HELD) == held and sizes.get(kind, 0) >= whole / 100
    )
