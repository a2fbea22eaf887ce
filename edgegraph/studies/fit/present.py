"""A fit: its tables, its figure, the best plan in code, and what a page says of it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.palette import CURVE_COLOURS, CURVE_MARKERS, MUTED
from edgegraph.reporting.presenters import Summary, study_presenter
from edgegraph.reporting.table_kit import cells, column_table, plain_table
from edgegraph.results.columns import columns_of
from edgegraph.studies.fit.result import FULL, NO_PLAN, PLAN, Fit, LayerPlan, PlanPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_RESIDUALS = 12
_GIGA = 1e9


def fit_table(fit: Fit, wide: bool | None = None) -> Group:
    """Show a fit: what is saved, what was compiled, and how each layer runs in the best."""
    parts: list[RenderableType] = [
        Text(f"{fit.workload_name}, {fit.target}, {si(fit.limit_bytes, 'B')}", style="bold"),
        _points(fit),
    ]
    parts += [
        Text(f"batch {p.batch} on {p.mesh}, {p.plan}: {p.error}", style="red")
        for p in fit.points
        if p.error
    ]
    parts += [Text(line, style="bold") for line in fit.conclusions]
    if fit.best is not None and fit.best.layers:
        parts += [_layers(fit.best), Text(code(fit.best), style="dim")]
    if fit.residuals:
        parts += [_residuals(fit)]
    return Group(*parts)


_COLUMNS = {
    **columns_of(PlanPoint, "plan", "batch", "mesh", "predicted_bytes", "peak_bytes"),
    **columns_of(PlanPoint, "predicted_s", "time_s", "throughput_per_s"),
}


def _points(fit: Fit) -> Table:
    table = column_table(_COLUMNS)
    for point in fit.points:
        peak = "refused" if point.error else si(point.peak_bytes, "B")
        table.add_row(
            *cells(
                point,
                _COLUMNS,
                predicted_bytes="" if point.predicted_bytes is None
                else si(point.predicted_bytes, "B"),
                predicted_s="" if point.predicted_s is None else seconds(point.predicted_s),
                peak_bytes=Text(peak, style="" if point.fits else "red"),
            ),
            style="bold" if point is fit.best else "",
        )  # fmt: skip
    return table


def _layers(point: PlanPoint) -> Table:
    table = plain_table("layer", "runs", "keeps", "saved", "longer by", words=("runs", "keeps"))
    for layer in point.layers:
        table.add_row(
            layer.layer or "(no scope)",
            "again" if layer.checkpointed else "as it is",
            ", ".join(layer.kept),
            si(layer.kept_bytes, "B"),
            seconds(layer.time_s),
        )
    return table


def _residuals(fit: Fit) -> Table:
    """Show what is saved most, by layer, shape and source."""
    table = plain_table(
        "saved by the step as it is", "from", "shape", "bytes", "FLOPs again", "time again",
        words=("from", "shape"),
    )  # fmt: skip
    largest = sorted(fit.residuals, key=lambda each: -each.bytes)
    computed = [each for each in largest if each.layer is not None or each.source not in _GIVEN]
    for each in computed[:_MOST_RESIDUALS]:
        table.add_row(
            each.layer or "(no scope)",
            each.name or each.source,
            f"{each.dtype}[{','.join(map(str, each.shape))}]",
            si(each.bytes, "B"),
            si(each.flops),
            seconds(each.time_s),
        )
    rest = len(computed) - _MOST_RESIDUALS
    if rest > 0:
        held = sum(each.bytes for each in computed[_MOST_RESIDUALS:])
        table.add_row(f"and {rest} more", "", "", si(held, "B"), "", "")
    return table


_GIVEN = ("argument", "constant")


def code(point: PlanPoint) -> str:
    """Return how to use a plan, and the policy of every run of equal layers."""
    lines = [
        'step = eg.load("plan.edgegraph").applied_to(workload).call(' + f"{point.batch})",
        "train = jax.jit(step.function, donate_argnums=step.donate)",
    ]
    for (checkpointed, kept), group in groupby(point.layers, key=_runs):
        names = [layer.layer or "(no scope)" for layer in group]
        span = names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"
        policy = ", ".join(f'"{name}"' for name in kept)
        how = f"jax.checkpoint, save_only_these_names({policy})" if checkpointed else "as it is"
        lines.append(f"# {span}: {how}")
    return "\n".join(lines)


def _runs(layer: LayerPlan) -> tuple[bool, tuple[str, ...]]:
    return layer.checkpointed, layer.kept


def draw(fit: Fit, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES) -> Axes:
    """Draw throughput against the compiler's memory, a point for every program compiled."""
    known = [point for point in fit.points if point.peak_bytes and point.throughput_per_s]
    if not known:
        raise InputError(f"no program of the fit of {fit.workload_name!r} has figures to draw")
    if ax is None:
        ax = figure.column_axes(2.6, left=0.75, top=0.3, width=width)
    for number, plan in enumerate((NO_PLAN, FULL, PLAN)):
        held = [point for point in known if point.plan == plan]
        if held:
            ax.plot(
                [(point.peak_bytes or 0) / _GIGA for point in held],
                [point.throughput_per_s or 0.0 for point in held],
                CURVE_MARKERS[number], color=CURVE_COLOURS[number], markersize=4, label=plan,
                linestyle="none",
            )  # fmt: skip
    ax.axvline(fit.limit_bytes / _GIGA, color=MUTED, linewidth=0.8)
    ax.set_xscale("log")
    ax.set_xlabel("peak memory of a chip (GB)", fontsize=figure.FONT_POINTS)
    ax.set_ylabel("throughput (samples/s)", fontsize=figure.FONT_POINTS)
    figure.log_ticks(ax.xaxis, 3)
    figure.write_values(ax.xaxis, "{:g}".format)
    figure.write_values(ax.yaxis, si)
    figure.tidy(ax)
    figure.legend_above(ax, -0.1, 3)
    return ax


def _summary(fit: Fit) -> Summary:
    best = fit.best
    name = f"{fit.workload_name} on {fit.target}"
    headline = f"{name}: ", "nothing that was tried fits", "."
    if best is not None:
        more = f", batch {best.batch} on {best.mesh}, {best.plan}."
        headline = f"{name} fits at ", f"{si(best.throughput_per_s)}/s", more
    drawn = any(point.peak_bytes and point.throughput_per_s for point in fit.points)
    return Summary(
        name="fit",
        workloads=(fit.workload_name,),
        target=fit.target,
        environment=fit.environment,
        headline=headline,
        found="nothing fits" if best is None else f"batch {best.batch}",
        lead=fit.conclusions,
        figure="Throughput against memory" if drawn else None,
    )


PRESENTER = study_presenter(fit_table, _summary)
