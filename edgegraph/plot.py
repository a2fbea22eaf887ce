"""Figures for papers and notebooks: ``eg.plot.roofline(analysis)``.

Every function takes a result and gives the Axes it drew on; ``eg.plot.save(ax, "fig.pdf")``
writes it. Given Axes, it draws there, beside what else a figure shows; else on a new figure
as wide as one column of a paper (``width=eg.plot.PAGE_INCHES`` for both).

=============  ==========================================  ===================================
function       shows                                       of
=============  ==========================================  ===================================
``roofline``   layers and ops under the device's roofs     an `Analysis`
``layers``     time of every layer in its bracket          an `Analysis`
``memory``     bytes alive along the schedule              an `Analysis`
``graph``      layers and what flows between them          an `Analysis`
``sweep``      latency and throughput over the batch size  a `Sweep`: a pair of Axes
``fusion``     bytes and latency with and without fusion   a `FusionStudy`: a pair of Axes
``overlap``    measured times in their brackets            an `OverlapStudy`
``devices``    one program on several devices              a `DeviceComparison`
``scaling``    speedup and times over the chips            a `Scaling`: a pair of Axes
=============  ==========================================  ===================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgegraph.errors import InputError
from edgegraph.reporting.figure import COLUMN_INCHES, PAGE_INCHES
from edgegraph.reporting.figure import save_figure as save
from edgegraph.reporting.graph_plot import layer_graph as graph
from edgegraph.reporting.plots import layer_times as layers
from edgegraph.reporting.plots import memory, roofline
from edgegraph.results.files import kind_of
from edgegraph.studies.devices.plot import device_times as devices
from edgegraph.studies.fusion.plot import draw_ladder as fusion
from edgegraph.studies.overlap.plot import brackets as overlap
from edgegraph.studies.scaling.plot import draw_scaling as scaling
from edgegraph.studies.sweep.plot import draw_sweep as sweep

__all__ = [
    "COLUMN_INCHES",
    "KINDS",
    "PAGE_INCHES",
    "devices",
    "draw",
    "fusion",
    "graph",
    "layers",
    "memory",
    "overlap",
    "roofline",
    "save",
    "scaling",
    "sweep",
]

KINDS: dict[str, dict[str, Callable[..., Any]]] = {
    "analysis": {"roofline": roofline, "layers": layers, "memory": memory, "graph": graph},
    "sweep": {"sweep": sweep},
    "fusion study": {"fusion": fusion},
    "overlap study": {"overlap": overlap},
    "device comparison": {"devices": devices},
    "scaling study": {"scaling": scaling},
}
"""What shows which kind of result, the first unless another is asked for."""


def draw(result: Any, kind: str | None = None, *, width: float = COLUMN_INCHES) -> Any:
    """Draw what shows a result.

    Args:
        result: An analysis, or a study.
        kind: The name of the function; where None the first that fits the result: of an analysis
            without a device the graph, for it has no roofs.
        width: Of the figure, in inches.

    Returns:
        The Axes; of a figure with two panels the first.

    Raises:
        InputError: There is no such figure of such a result, or it lacks what that shows.
    """
    of = kind_of(result)
    fitting = KINDS.get(of, {})
    if kind is None and of == "analysis":
        kind = "graph" if result.device is None else "roofline"
    elif kind is None:
        kind = next(iter(fitting), "")
    if kind not in fitting:
        raise InputError(
            f"{kind!r} shows another kind of result than this {of}; of such a result there is"
            f" {', '.join(fitting) or 'no figure'}"
        )
    ax = fitting[kind](result, width=width)
    return ax[0] if isinstance(ax, tuple) else ax
