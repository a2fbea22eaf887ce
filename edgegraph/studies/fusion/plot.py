"""The fusion ladder as a figure: bytes and latency with full fusion, with less, and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from edgegraph.base.units import seconds, si
from edgegraph.reporting.figure import COLUMN_INCHES, FONT_POINTS, SMALL_POINTS, tidy, write_title
from edgegraph.reporting.palette import BOUND_COLOURS, INK, MUTED, NEUTRAL
from edgegraph.studies.fusion.result import FusionStudy, Rung, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "full fusion": "full",
    "without library fusion": "no library",
    "without fusion": "none",
}
_BAR_HEIGHT = 0.6
_HEIGHT_INCHES = 1.5


def draw(
    study: FusionStudy, axes: tuple[Axes, Axes] | None = None, *, width: float = COLUMN_INCHES
) -> tuple[Axes, Axes]:
    """Draw what every rung moves and how long it takes, side by side.

    Left, the bytes that cross kernel borders, beside the number of launches. Right, the measured
    latency with its 95 % interval and what fusion did to it; a line marks the time that the
    roofline needs at least. Without a measurement the roofline bracket stands alone.

    Args:
        study: Any fusion study.
        axes: Where to draw bytes and latency; a new figure where None.
        width: Of a new figure, in inches.

    Returns:
        The two axes.
    """
    if axes is None:
        axes = _beside_each_other(study, width)
    left, right = axes
    for position, rung in enumerate(study.rungs):
        _bytes_bar(left, position, rung)
        _time_bar(right, position, rung, _verdict(study, rung))
    left.set_yticks(range(len(study.rungs)), list(map(_label, study.rungs)), linespacing=1.1)
    right.set_yticks(range(len(study.rungs)), [""] * len(study.rungs))
    left.set_xlim(0, 1.45 * max(rung.bytes for rung in study.rungs))
    longest = max((_reach(rung) for rung in study.rungs), default=0.0)
    right.set_xlim(0, 1.55 * longest or 1.0)
    left.set_xlabel("bytes moved (B)", fontsize=FONT_POINTS)
    measured = any(rung.latency_s is not None for rung in study.rungs)
    right.set_xlabel(
        "measured; line: roofline" if measured else "time, roofline", fontsize=FONT_POINTS
    )
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    for ax in axes:
        _tidy(ax, len(study.rungs))
    return axes


def _beside_each_other(study: FusionStudy, width: float) -> tuple[Axes, Axes]:
    figure = Figure(figsize=(width, _HEIGHT_INCHES))
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.2, right=0.98, bottom=0.27, top=0.87, wspace=0.12)
    batch = "" if study.batch is None else f", batch {study.batch}"
    write_title(left, f"{study.workload}{batch}, {study.target}: fusion")
    return left, right


def _label(rung: Rung) -> str:
    count = f"{rung.kernels} launch{'es' * (rung.kernels != 1)}"
    return f"{LABELS[rung.name]}\n{count}"


def _bytes_bar(ax: Axes, position: int, rung: Rung) -> None:
    ax.barh(position, rung.bytes, _BAR_HEIGHT, color=BOUND_COLOURS["memory"])
    _beside(ax, rung.bytes, position, si(rung.bytes, "B"))


def _time_bar(ax: Axes, position: int, rung: Rung, verdict: str) -> None:
    low, high = rung.memory_time_s, rung.compute_time_s
    if rung.latency_s is not None:
        ax.barh(position, rung.latency_s, _BAR_HEIGHT, color=BOUND_COLOURS["compute"])
        if rung.interval_s is not None:
            ax.plot(
                rung.interval_s, [position, position], "|-", color=INK, linewidth=0.9, markersize=5,
                markeredgewidth=0.9,
            )  # fmt: skip
        said = seconds(rung.latency_s) + verdict
        _beside(ax, _reach(rung), position, said)
    if low is None or high is None:
        return
    if rung.latency_s is None:
        ax.barh(position, low + high, _BAR_HEIGHT, color="none", edgecolor=NEUTRAL, linewidth=0.8)
        _beside(ax, low + high, position, f"~{seconds(low + high)}")
    ax.plot(
        [max(low, high)] * 2, [position - _BAR_HEIGHT / 2, position + _BAR_HEIGHT / 2], color=INK,
        linewidth=1.2, solid_capstyle="butt",
    )  # fmt: skip


def _beside(ax: Axes, x: float, position: int, said: str) -> None:
    ax.annotate(
        said, (x, position), (3, 0), textcoords="offset points", va="center",
        fontsize=SMALL_POINTS, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _verdict(study: FusionStudy, rung: Rung) -> str:
    """Describe how full fusion compares with none, or that rungs are the same program."""
    if rung.same_as is not None:
        return ", same"
    step: Step = study.steps[-1]
    if rung.name != step.after or step.verdict is None:
        return ""
    return f", {step.verdict}"


def _reach(rung: Rung) -> float:
    """Return how far to the right the rung's marks go."""
    low, high = rung.memory_time_s or 0.0, rung.compute_time_s or 0.0
    if rung.latency_s is None:
        return low + high
    return max(rung.latency_s, (rung.interval_s or (0.0, 0.0))[1], low, high)


def _tidy(ax: Axes, rungs: int) -> None:
    ax.set_ylim(rungs - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    tidy(ax)
    ax.tick_params(axis="y", length=0)
