"""A scaling study: its table, its figure, and what a page says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.palette import CURVE_COLOURS, CURVE_MARKERS, MUTED, PAPER, bound_colour
from edgegraph.reporting.presenters import Summary, study_presenter
from edgegraph.reporting.table_kit import VERDICT_STYLE, ByWidth, cells, column_table, styled
from edgegraph.results.columns import Column, columns_of
from edgegraph.studies.scaling.result import COLUMNS, Scaling, ScalingPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 110
"""Columns from which the batch, the bytes sent and the memory of a chip are shown too."""


def scaling_table(scaling: Scaling, wide: bool | None = None) -> Group:
    """Show a scaling study: a row a mesh, then what it says."""
    device = scaling.device
    links = None if device is None else device.network_bytes_per_s
    said = "no device: nothing predicted" if device is None else device.name
    if links is not None:
        said += f"; {si(links, 'B/s')} to other chips, over all links"
    parts: list[RenderableType] = [
        Text(f"{scaling.workload}, {scaling.target}", style="bold"),
        Text(said, style="dim"),
        ByWidth(lambda width: _table(scaling, wide=width >= _WIDE))
        if wide is None
        else _table(scaling, wide=wide),
    ]
    parts += [Text(f"{p.mesh}: {p.error}", style="red") for p in scaling.points if p.error]
    parts += [Text(line, style="bold") for line in scaling.conclusions]
    return Group(*parts)


def _table(scaling: Scaling, *, wide: bool) -> Table:
    measured = any(point.latency is not None for point in scaling.points)
    columns = _COLUMNS | columns_of(ScalingPoint, "verdict" if measured else "bound")
    if not wide:
        columns = {name: each for name, each in columns.items() if name not in _ONLY_WIDE}
    table = column_table(columns)
    for name, points in scaling.series.items():
        table.add_row(Text(f"{name} scaling", style="italic"))
        for number, point in enumerate(points):
            row = _cells(scaling, point, columns)
            table.add_row(*row, end_section=number == len(points) - 1)
    return table


_COLUMNS = {
    **columns_of(ScalingPoint, "mesh", "batch", "time_s"),
    "efficiency": COLUMNS["efficiency"],
    **columns_of(
        ScalingPoint, "compute_time_s", "memory_time_s", "network_time_s", "exposed_network_s",
        "wire_bytes", "peak_memory_bytes",
    ),
}  # fmt: skip
_ONLY_WIDE = ("batch", "wire_bytes", "peak_memory_bytes")


def _cells(
    scaling: Scaling, point: ScalingPoint, columns: Mapping[str, Column]
) -> list[RenderableType]:
    mesh = f"  {point.mesh}"
    if point.error is not None:
        return [mesh, *[""] * (len(columns) - 2), Text("failed", style="red")]
    step = seconds(point.time_s) if point.latency is not None else f"~{seconds(point.time_s)}"
    peak = "" if point.peak_memory_bytes is None else si(point.peak_memory_bytes, "B")
    alone = {} if point.collectives else {"network_time_s": "none", "exposed_network_s": "none"}
    judged = styled(point.verdict, VERDICT_STYLE) if point.latency else styled(point.bound)
    return cells(
        point,
        columns,
        mesh=mesh,
        time_s=step,
        efficiency=columns["efficiency"].text(scaling.efficiency(point)),
        # Red: more than the chip has.
        peak_memory_bytes=Text(peak, style="red" if point.fits is False else ""),
        verdict=judged,
        bound=judged,
        **alone,
    )


_HEIGHT_INCHES = 3.9
_LINES = {"weak": "-", "strong": "--"}
_PARTS = ("compute", "memory", "network")


def draw(
    scaling: Scaling, axes: tuple[Axes, Axes] | None = None, *, width: float = figure.COLUMN_INCHES
) -> tuple[Axes, Axes]:
    """Draw the speedup over the chips, and below it the three times of one chip.

    Weak scaling is solid, strong scaling dashed; the grey line is a perfect speedup.
    """
    known = [point for point in scaling.points if scaling.speedup(point)]
    if not known:
        raise InputError(
            f"no mesh of the scaling study of {scaling.workload!r} has a time; look at the errors"
            " in its frame"
        )
    if axes is None:
        axes = figure.two_axes(
            width, _HEIGHT_INCHES, left=0.2, right=0.965, bottom=0.1, top=0.895, hspace=0.24
        )
        figure.write_title(axes[0], f"{scaling.workload}, {scaling.target}")
    above, below = axes
    chips = sorted({point.chips for point in known})
    above.plot(chips, chips, color=MUTED, linewidth=0.8, label="perfect")
    measured = any(point.latency is not None for point in known)
    for number, (name, points) in enumerate(scaling.series.items()):
        held = [point for point in points if point in known]
        above.plot(
            [point.chips for point in held], [scaling.speedup(point) or 0.0 for point in held],
            _LINES[name], color=CURVE_COLOURS[number], marker=CURVE_MARKERS[number],
            markersize=3.4, linewidth=1.1, markeredgecolor=PAPER, markeredgewidth=0.4, label=name,
        )  # fmt: skip
        _parts(below, name, held, labelled=number == 0)
    source = "measured" if measured else "predicted"
    above.set_ylabel(f"speedup ({source})", fontsize=figure.FONT_POINTS)
    below.set_ylabel("time of a step, one chip", fontsize=figure.FONT_POINTS)
    below.set_xlabel("chips", fontsize=figure.FONT_POINTS)
    for ax in axes:
        _finish(ax, chips)
    figure.write_values(below.yaxis, seconds)
    figure.write_values(above.yaxis, "{:g}".format)
    return axes


def _parts(ax: Axes, name: str, points: list[ScalingPoint], *, labelled: bool) -> None:
    for part, marker in zip(_PARTS, CURVE_MARKERS, strict=False):
        found = [(p.chips, time) for p in points if (time := getattr(p, f"{part}_time_s"))]
        if found:
            ax.plot(
                *zip(*found, strict=True), _LINES[name], color=bound_colour(part), marker=marker,
                markersize=3.0, linewidth=1.0, label=part if labelled else None,
            )  # fmt: skip
    waits = [(p.chips, p.exposed_network_s) for p in points if p.exposed_network_s]
    if waits:
        ax.plot(
            *zip(*waits, strict=True), ":", color=bound_colour("network"), linewidth=1.2,
            label="network, exposed" if labelled else None,
        )  # fmt: skip


def _finish(ax: Axes, chips: list[int]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    figure.ticks_at(ax.xaxis, chips)
    figure.ticks_at(ax.yaxis, None)
    figure.write_values(ax.xaxis, "{:.0f}".format)
    figure.tidy(ax)
    figure.legend_above(ax, -0.22, 4, handlelength=1.8, handletextpad=0.4, columnspacing=1.0)


def _summary(study: Scaling) -> Summary:
    known = [point for point in study.points if study.speedup(point)]
    name = f"{study.workload} on {study.target}"
    headline = f"{name}: ", "no mesh has figures", "."
    if known:
        best = max(known, key=lambda point: point.throughput_per_s or 0.0)
        chips = f" on {best.chips} chip{'s' * (best.chips != 1)}."
        headline = f"{name} reaches ", f"{si(best.throughput_per_s)}/s", chips
    return Summary(
        name="scaling",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=headline,
        found=f"{max((point.chips for point in study.points), default=0)} chips",
        lead=study.conclusions,
        figure="Speedup, and what a step consists of, over the chips" if known else None,
    )


PRESENTER = study_presenter(scaling_table, _summary)
