"""A sweep: its table, its figure, and what a page says of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.axes import BATCH
from edgegraph.base.units import seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.over_sizes import label_over_sizes
from edgegraph.reporting.palette import MUTED, NEUTRAL, PAPER, curve_style
from edgegraph.reporting.presenters import Summary, study_presenter
from edgegraph.reporting.table_kit import VERDICT_STYLE, ByWidth, cells, column_table, styled
from edgegraph.results.columns import Column, columns_of
from edgegraph.results.verdicts import OK
from edgegraph.studies.sweep.choice import Choice, curve_name
from edgegraph.studies.sweep.growth_table import growth_tables
from edgegraph.studies.sweep.maps import draw_maps
from edgegraph.studies.sweep.result import Sweep, SweepPoint

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


_WIDE = 120
"""Columns from which the two roofline times and the queue depth are shown too."""


def sweep_table(sweep: Sweep, wide: bool | None = None) -> Group:
    """Show a sweep: a row a point, then its errors, the knee and the batch for the budget."""
    device = "no device: nothing predicted" if sweep.device is None else sweep.device.name
    parts: list[RenderableType] = [
        Text(f"{sweep.workload}, {sweep.target}", style="bold"),
        Text(device, style="dim"),
        ByWidth(lambda width: _table(sweep, wide=width >= _WIDE))
        if wide is None
        else _table(sweep, wide=wide),
    ]
    parts += [Text(line, style="red") for line in _errors(sweep)]
    parts += [
        Text(f"{point.label}: {point.verdict}, since {point.reasons[0]}", style="yellow")
        for point in sweep.points
        if point.verdict not in (None, OK) and point.reasons
    ]
    parts += growth_tables(sweep)
    parts += [Text(line, style="bold") for line in sweep.conclusions]
    return Group(*parts)


def _table(sweep: Sweep, *, wide: bool) -> Table:
    several = len(sweep.series) > 1
    knees = {
        (choice.dtype, choice.options, choice.batch, *choice.sizes.values()): choice.axis
        for choice in sweep.knees
        if choice.size is not None
    }
    left_out = () if wide else ("queue_depth", "compute_time_s", "memory_time_s")
    sized = {f"axis {axis}": Column(heading=axis, dtype="Int64") for axis in sweep.axes}
    columns = {"batch": _COLUMNS["batch"], **sized}
    columns |= {name: column for name, column in _COLUMNS.items() if name not in left_out}
    table = (
        column_table({"curve": _CURVE, **columns})
        if several
        else column_table(columns, justify="right")
    )
    for points in sweep.series.values():
        for position, point in enumerate(points):
            curve = [curve_name(*point.series) if position == 0 else ""] * several
            knee = knees.get((*point.series, point.batch, *point.sizes.values()))
            table.add_row(
                *curve,
                *_cells(point, columns, knee),
                end_section=several and position == len(points) - 1,
            )
    return table


_COLUMNS = {
    **columns_of(
        SweepPoint, "batch", "latency_s", "latency_p90_s", "throughput_per_s", "queue_depth",
        "compute_time_s", "memory_time_s",
    ),
    "roofline": Column(heading="roofline"),
    **columns_of(SweepPoint, "bound", "peak_memory_bytes", "verdict"),
}  # fmt: skip
_CURVE = Column(heading="curve")


def _cells(
    point: SweepPoint, columns: Mapping[str, Column], knee: str | None
) -> list[RenderableType]:
    """Write a point: nothing for what failed, nor for the roof where no device was given."""
    verdict = "failed" if point.error is not None else point.verdict or ""
    said = Text(verdict, style=VERDICT_STYLE.get(verdict, "red"))
    if knee is not None:
        said.append(" knee" if knee == BATCH else f" knee of {knee}", style="bold cyan")
    written: dict[str, RenderableType] = {
        "roofline": _bracket(point), "bound": styled(point.bound), "verdict": said,
        **{f"axis {axis}": str(size) for axis, size in point.sizes.items()},
    }  # fmt: skip
    kept = () if point.error is not None else ("latency_s", "latency_p90_s", "throughput_per_s")
    for name in columns.keys() - {*written, *kept}:
        if getattr(point, name) is None:
            written[name] = ""
    return cells(point, columns, **written)


def _bracket(point: SweepPoint) -> str:
    """Write both ends, the unit of the lower one only where it differs from the upper one's."""
    low, high = point.overlapped_time_s, point.serial_time_s
    unit = seconds(high).rpartition(" ")[2]
    return "" if low is None else f"{seconds(low).removesuffix(f' {unit}')} to {seconds(high)}"


def _errors(sweep: Sweep) -> list[str]:
    """Describe why points failed, those that failed alike in one line."""
    batches: dict[tuple[str, str], list[str]] = {}
    for point in sweep.points:
        if point.error is not None:
            beside = point.label.partition(",")[2]
            batches.setdefault((beside, point.error), []).append(str(point.batch))
    return [
        f"batch {', '.join(dict.fromkeys(failed))}{beside and f' with{beside}'}: {error}"
        for (beside, error), failed in batches.items()
    ]


def _summary(sweep: Sweep) -> Summary:
    measured = any(point.latency is not None for point in sweep.points)
    sound = [point.throughput_per_s or 0.0 for point in sweep.points if point.verdict == OK]
    most, why = (
        max(sound, default=0.0),
        "nothing was measured soundly" if measured else "nothing was measured",
    )
    swept = f"{sweep.workload} over {sweep.span}"
    over = " and ".join("the batch size" if axis == BATCH else axis for axis in sweep.varied)
    return Summary(
        name="sweep",
        workloads=(sweep.workload,),
        target=sweep.target,
        environment=sweep.environment,
        headline=(f"{swept} reaches ", f"{si(most)}/s", ".") if most else (f"{swept}: ", why, "."),
        found=sweep.span,
        lead=sweep.conclusions,
        figure=f"Latency and throughput over {over}" if sweep.has_figure else None,
    )


PRESENTER = study_presenter(sweep_table, _summary)


_HEIGHT_INCHES = 3.4
_LEGEND_COLUMNS = 4
_MARKER_POINTS = 3.4

Styles = Mapping[tuple[str | None, str], tuple[str, str]]
"""Colour and marker by curve."""


def draw(
    sweep: Sweep, axes: tuple[Axes, Axes] | None = None, *, width: float = figure.COLUMN_INCHES
) -> tuple[Axes, Axes]:
    """Draw latency and throughput over the batch size, or another axis, one above the other.

    Over two axes these are maps (`edgegraph.studies.sweep.maps.draw_maps`). Lines are measured:
    the median latency with a whisker up to the p90, and the best throughput. Bands are predicted:
    from max(T_compute, T_memory), perfect overlap, to their sum. Hollow marks were NOISY or
    INVALID, crosses failed. A dotted line marks the knee.
    """
    if not sweep.has_figure:
        raise InputError(
            f"no point of the sweep of {sweep.workload!r} was measured; look at the errors in"
            " its frame"
        )
    if len(sweep.varied) > 1:
        return draw_maps(sweep, axes, width=width)
    if axes is None:
        rows = math.ceil(len(_handles(sweep)) / _LEGEND_COLUMNS)
        axes = figure.two_axes(
            width, _HEIGHT_INCHES, left=0.175, right=0.975, bottom=0.115, top=0.935 - 0.045 * rows,
            hspace=0.09,
        )  # fmt: skip
        figure.write_title(axes[0], f"{sweep.workload}, {sweep.target}")
    above, below = axes
    styles = _styles(sweep)
    (axis,) = sweep.varied
    for name, points in sweep.series.items():
        colour, marker = styles[name]
        _band(above, axis, points, colour, lambda batch, time_s: time_s)
        _band(below, axis, points, colour, lambda batch, time_s: batch / time_s)
        _curve(above, axis, points, colour, marker, lambda point: point.latency_s)
        _whiskers(above, axis, points, colour)
        _curve(below, axis, points, colour, marker, lambda point: point.throughput_per_s)
    _mark_knees(axes, sweep.knees, styles)
    for size in sorted({point.size(axis) for point in sweep.points if point.error is not None}):
        above.plot(
            size, 0.95, "x", transform=above.get_xaxis_transform(), color=MUTED, markersize=4.5,
            markeredgewidth=1.2, clip_on=False,
        )  # fmt: skip
    if sweep.max_latency_s is not None:
        _mark_budget(above, sweep.max_latency_s)
    _finish(axes, sweep)
    return axes


def _styles(sweep: Sweep) -> Styles:
    return {name: curve_style(number) for number, name in enumerate(sweep.series)}


def _band(
    ax: Axes,
    axis: str,
    points: Sequence[SweepPoint],
    colour: str,
    value: Callable[[int, float], float],
) -> None:
    """Fill what the roofline predicts, from perfect overlap to none."""
    known = [
        (point, point.overlapped_time_s, point.serial_time_s)
        for point in points
        if point.overlapped_time_s and point.serial_time_s
    ]
    if not known:
        return
    sizes = [point.size(axis) for point, _, _ in known]
    overlapped = [value(point.batch, low) for point, low, _ in known]
    serial = [value(point.batch, high) for point, _, high in known]
    ax.fill_between(sizes, overlapped, serial, color=colour, alpha=0.22, linewidth=0)
    ax.plot(sizes, overlapped, color=colour, linewidth=0.6, alpha=0.7)


def _curve(
    ax: Axes,
    axis: str,
    points: Sequence[SweepPoint],
    colour: str,
    marker: str,
    value: Callable[[SweepPoint], float | None],
) -> None:
    found = [(point, height) for point in points if (height := value(point)) is not None]
    xs, ys = [point.size(axis) for point, _ in found], [height for _, height in found]
    ax.plot(xs, ys, color=colour, linewidth=1.1)
    for point, height in found:
        face = colour if point.verdict == OK else PAPER
        ax.plot(
            point.size(axis), height, marker, color=colour, markersize=_MARKER_POINTS,
            markerfacecolor=face, markeredgewidth=0.9,
        )  # fmt: skip


def _whiskers(ax: Axes, axis: str, points: Sequence[SweepPoint], colour: str) -> None:
    for point in points:
        if point.latency_s is not None and point.latency_p90_s is not None:
            ax.plot(
                [point.size(axis)] * 2, [point.latency_s, point.latency_p90_s], "-",
                color=colour, linewidth=0.8, marker="_", markersize=3, markevery=[1],
            )  # fmt: skip


def _mark_knees(axes: tuple[Axes, Axes], knees: Sequence[Choice], styles: Styles) -> None:
    """Mark every knee with a line; where curves share one, it has no curve's colour."""
    colours: dict[int, str] = {}
    for choice in knees:
        if choice.size is not None:
            own = styles[choice.dtype, choice.options][0]
            colours[choice.size] = MUTED if choice.size in colours else own
    for size, colour in colours.items():
        for ax in axes:
            ax.axvline(size, color=colour, linewidth=0.8, linestyle=":", zorder=0.5)
        axes[1].annotate(
            f"knee {size}", (size, 0), (3, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=figure.SMALL_POINTS, color=colour,
        )  # fmt: skip


def _mark_budget(ax: Axes, budget_s: float) -> None:
    ax.axhline(budget_s, color=MUTED, linewidth=0.8, linestyle="--", zorder=0.5)
    ax.annotate(
        f"budget {seconds(budget_s)}", (0, budget_s), (3, 2), xycoords=("axes fraction", "data"),
        textcoords="offset points", fontsize=figure.SMALL_POINTS, color=MUTED,
    )  # fmt: skip


def _finish(axes: tuple[Axes, Axes], sweep: Sweep) -> None:
    (axis,) = sweep.varied
    label_over_sizes(
        axes,
        sorted({point.size(axis) for point in sweep.points}),
        above="latency (tick: p90)",
        below="throughput (samples/s)",
        size="batch size" if axis == BATCH else axis,
    )
    figure.legend_above(
        axes[0], -0.19, _LEGEND_COLUMNS, _handles(sweep), handlelength=1.4, handletextpad=0.4,
        columnspacing=1.0,
    )  # fmt: skip


def _handles(sweep: Sweep) -> list[Artist]:
    """Explain what occurs."""
    styles = _styles(sweep)
    several = len(styles) > 1
    handles = [
        figure.line_handle(
            curve_name(*name) if several else "measured", color=colour, marker=marker,
            markersize=_MARKER_POINTS, linewidth=1.1,
        )
        for name, (colour, marker) in styles.items()
        if several or any(point.latency is not None for point in sweep.points)
    ]  # fmt: skip
    shared = NEUTRAL if several else next(iter(styles.values()))[0]
    if any(point.serial_time_s for point in sweep.points):
        handles.append(
            figure.patch_handle("roofline bracket", color=shared, alpha=0.35, linewidth=0)
        )
    if any(point.verdict not in (None, OK) for point in sweep.points):
        handles.append(
            figure.mark_handle("noisy", "o", shared, _MARKER_POINTS, markerfacecolor=PAPER)
        )
    if any(point.error is not None for point in sweep.points):
        handles.append(figure.mark_handle("failed", "x", MUTED))
    return handles
