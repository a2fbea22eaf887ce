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
``serve``      times to tokens and tokens per second       a `Serving`: a pair of Axes
``fusion``     bytes and latency with and without fusion   a `FusionStudy`: a pair of Axes
``overlap``    measured times in their brackets            an `OverlapStudy`
``devices``    one program on several devices              a `DeviceComparison`
``fit``        throughput against memory                  a `Fit`
``scaling``    speedup and times over the chips            a `Scaling`: a pair of Axes
``improve``    changed operations before and after         an `Improvement`
``regress``    time of every version over the first's      a `Regression`
=============  ==========================================  ===================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgegraph.reporting.figure import COLUMN_INCHES, PAGE_INCHES
from edgegraph.reporting.figure import save_figure as save
from edgegraph.results.base import Shown
from edgegraph.results.kinds import figure_places, kind_of, resolve

if TYPE_CHECKING:
    from edgegraph.reporting.graph_plot import layer_graph as graph
    from edgegraph.reporting.plots import layer_times as layers
    from edgegraph.reporting.plots import memory, roofline
    from edgegraph.studies.devices.present import draw as devices
    from edgegraph.studies.fit.present import draw as fit
    from edgegraph.studies.fusion.present import draw as fusion
    from edgegraph.studies.improve.present import draw as improve
    from edgegraph.studies.overlap.present import draw as overlap
    from edgegraph.studies.regress.present import draw as regress
    from edgegraph.studies.scaling.present import draw as scaling
    from edgegraph.studies.serve.present import draw as serve
    from edgegraph.studies.sweep.present import draw as sweep

__all__ = [
    "COLUMN_INCHES",
    "PAGE_INCHES",
    "devices",
    "draw",
    "fit",
    "fusion",
    "graph",
    "improve",
    "layers",
    "memory",
    "overlap",
    "regress",
    "roofline",
    "save",
    "scaling",
    "serve",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in (places := figure_places()):
        raise AttributeError(f"module 'edgegraph.plot' has no attribute {name!r}")
    return resolve(places[name])


def __dir__() -> list[str]:
    return __all__


def draw(result: Shown, kind: str | None = None, *, width: float = COLUMN_INCHES) -> Any:
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
    kind_of(result)  # refuses what is no result
    axes = result.draw(kind, width=width)
    return axes[0] if isinstance(axes, tuple) else axes
