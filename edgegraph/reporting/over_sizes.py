"""Two plots above each other over sizes: a time, and a rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgegraph.base.units import seconds, si
from edgegraph.reporting import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 10


def label_over_sizes(
    axes: tuple[Axes, Axes], sizes: Sequence[int], *, above: str, below: str, size: str
) -> None:
    """Scale, tick and label a time `above` and a rate `below`, both over `size`."""
    ticks = sizes[:: math.ceil(len(sizes) / _MOST_TICKS)]
    for ax, label, write in zip(axes, (above, below), (seconds, si), strict=True):
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        figure.ticks_at(ax.xaxis, ticks)
        figure.write_values(ax.xaxis, "{:.0f}".format)
        low, high = ax.get_ylim()
        figure.log_ticks(ax.yaxis, 9, span=high / low)
        figure.tidy(ax)
        figure.write_values(ax.yaxis, write)
        ax.set_ylabel(label, fontsize=figure.FONT_POINTS)
    axes[1].set_xlabel(size, fontsize=figure.FONT_POINTS)
    figure.figure_of(axes[0]).align_ylabels(axes)
