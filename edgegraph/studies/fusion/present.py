"""The fusion study: its tables, its figure, and what a page says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import UNKNOWN, percent, seconds, si
from edgegraph.reporting import figure
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.palette import BOUND_COLOURS, INK, NEUTRAL
from edgegraph.reporting.presenters import Summary, at_batch, study_presenter
from edgegraph.reporting.table_kit import cells, column_table, plain_table, styled
from edgegraph.results.columns import columns_of
from edgegraph.results.verdicts import HELPS, HURTS, NO_DIFFERENCE, NOISY
from edgegraph.studies.fusion.result import SAME, FusionEffect, FusionStudy, Rung, RungLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERDICT_STYLE = {HELPS: "green", HURTS: "red", NOISY: "yellow", NO_DIFFERENCE: "dim", SAME: "dim"}

MOST_LAYERS = 30
MOST_FUSIONS, MOST_FUSIONS_WIDE = 8, 30
_NAME, _NARROW_NAME, _WIDE_NAME = 24, 18, 60
_LEAST = 12
"""Characters of a name that are always shown."""


def fusion_tables(study: FusionStudy, wide: bool | None = None) -> Group:
    """Show a fusion study: ladder, conclusions, layers, and the fusions that save most."""
    name = f"{study.workload}{at_batch(study.batch)}, {study.target}"
    parts: list[RenderableType] = [
        Text(name, style="bold"),
        Text(study.device or "no device: no roofline times", style="dim"),
        _ladder(study),
    ]
    for step, line in zip(study.steps, study.conclusions, strict=False):
        parts.append(Text(line, style=VERDICT_STYLE.get(step.verdict or "", "")))
    parts += [Text(line) for line in study.conclusions[len(study.steps) :]]
    parts.append(_layers(study, _WIDE_NAME if wide else _NAME))
    full = [effect for effect in study.fusions if effect.rung == study.rungs[0].name]
    if full:
        parts.append(_fusions(full, wide=bool(wide)))
    return Group(*parts)


def _ladder(study: FusionStudy) -> Table:
    timed = any(rung.latency_s is not None for rung in study.rungs)
    columns = columns_of(
        Rung, "name", "launches", "bytes", "flops", "memory_time_s", "compute_time_s",
        *["latency_s"] * timed,
    )  # fmt: skip
    table = column_table(columns, min_width=_LEAST)
    for rung in study.rungs:
        name = rung.name if rung.same_as is None else f"{rung.name} (same)"
        latency = _with_margin(rung.latency_s, rung.interval_s)
        table.add_row(*cells(rung, columns, name=name, latency_s=latency))
    return table


def _layers(study: FusionStudy, characters: int) -> Table:
    """Set the layers with full fusion beside the same without any."""
    with_, without = study.rungs[0], study.rungs[-1]
    timed = any(layer.time_s is not None for layer in with_.layers)
    name, *sides = columns_of(RungLayer, "layer", "bytes", *["time_s"] * timed).values()
    headings = [each for side in sides for each in (f"{side.heading}, fused", "unfused")]
    headings += ["fusion"] * timed
    table = plain_table(name.heading, *headings, words=("fusion",), min_width=_LEAST)
    unfused = {(layer.layer, layer.phase): layer for layer in without.layers}
    shown = sorted(with_.layers, key=lambda layer: -_gain(layer, unfused))[:MOST_LAYERS]
    for layer in (layer for layer in with_.layers if layer in shown):
        other = unfused.get((layer.layer, layer.phase))
        phase = "" if layer.phase == "forward" else f" ({layer.phase})"
        row: list[str | Text] = [
            si(layer.bytes, "B"),
            UNKNOWN if other is None else si(other.bytes, "B"),
        ]
        if timed:
            verdict = study.layer_verdict(layer.layer, layer.phase)
            row += [
                _with_margin(layer.time_s, layer.interval_s),
                UNKNOWN if other is None else _with_margin(other.time_s, other.interval_s),
                styled(verdict, VERDICT_STYLE),
            ]
        table.add_row(shorten(layer.layer, characters) + phase, *row)
    hidden = len(with_.layers) - len(shown)
    if hidden:
        table.caption = f"and {hidden} layers where fusion moves fewer bytes"
    return table


def _gain(layer: RungLayer, unfused: dict[tuple[str, str], RungLayer]) -> int:
    other = unfused.get((layer.layer, layer.phase))
    return 0 if other is None else abs(other.bytes - layer.bytes)


def _fusions(effects: Sequence[FusionEffect], *, wide: bool) -> Table:
    """List what fusions save; what they compute once more, and verdicts, where there are any."""
    redone = any(effect.recomputed_flops for effect in effects)
    judged = any(effect.verdict is not None for effect in effects)
    most = MOST_FUSIONS_WIDE if wide else MOST_FUSIONS
    characters = _WIDE_NAME if wide else _NARROW_NAME if judged else _NAME
    columns = columns_of(
        FusionEffect, "name", "ops", "border_bytes", "own_bytes", "time_s", "unfused_time_s",
        *["recomputed_flops"] * redone, *["verdict"] * judged,
    )  # fmt: skip
    table = column_table(columns, min_width=_LEAST)
    for effect in effects[:most]:
        times = {
            name: "~" * (effect.time_source == "estimated") + seconds(time_s)
            for name in ("time_s", "unfused_time_s")
            if (time_s := getattr(effect, name)) is not None
        }
        more = {} if effect.recomputed_flops else {"recomputed_flops": ""}
        name, verdict = shorten(effect.name, characters), styled(effect.verdict, VERDICT_STYLE)
        table.add_row(*cells(effect, columns, name=name, verdict=verdict, **times, **more))
    hidden = len(effects) - most
    if hidden > 0:
        table.caption = f"and {hidden} fusions that save less"
    return table


def _with_margin(value: float | None, interval: tuple[float, float] | None) -> str:
    """Write a time and how far its interval reaches, in percent."""
    if value is None or interval is None or not value:
        return seconds(value)
    low, high = interval
    return f"{seconds(value)} ±{percent(max(high - value, value - low) / value)}"


LABELS = {"full fusion": "full", "without library fusion": "no library", "without fusion": "none"}
_BAR_HEIGHT = 0.6
_HEIGHT_INCHES = 1.5


def draw(
    study: FusionStudy,
    axes: tuple[Axes, Axes] | None = None,
    *,
    width: float = figure.COLUMN_INCHES,
) -> tuple[Axes, Axes]:
    """Draw what every rung moves and how long it takes, side by side.

    Left, the bytes that cross kernel borders, beside the number of launches. Right, the measured
    latency with its 95 % interval and what fusion did to it; a line marks the time that the
    roofline needs at least. Without a measurement the roofline bracket stands alone.
    """
    if axes is None:
        axes = figure.two_axes(
            width, _HEIGHT_INCHES, beside=True, left=0.2, right=0.98, bottom=0.27, top=0.87,
            wspace=0.12,
        )  # fmt: skip
        figure.write_title(
            axes[0], f"{study.workload}{at_batch(study.batch)}, {study.target}: fusion"
        )
    left, right = axes
    for position, rung in enumerate(study.rungs):
        left.barh(position, rung.bytes, _BAR_HEIGHT, color=BOUND_COLOURS["memory"])
        figure.write_beside(left, si(rung.bytes, "B"), rung.bytes, position, gap=3)
        _time_bar(right, position, rung, _verdict(study, rung))
    labels = [
        f"{LABELS[rung.name]}\n{rung.launches} launch{'es' * (rung.launches != 1)}"
        for rung in study.rungs
    ]
    figure.name_rows(left, labels, linespacing=1.1)
    figure.name_rows(right, [""] * len(study.rungs))
    left.set_xlim(0, 1.45 * max(rung.bytes for rung in study.rungs))
    longest = max((_reach(rung) for rung in study.rungs), default=0.0)
    right.set_xlim(0, 1.55 * longest or 1.0)
    left.set_xlabel("bytes moved (B)", fontsize=figure.FONT_POINTS)
    measured = any(rung.latency_s is not None for rung in study.rungs)
    right.set_xlabel(
        "measured; line: roofline" if measured else "time, roofline", fontsize=figure.FONT_POINTS
    )
    figure.write_values(left.xaxis, si)
    figure.write_values(right.xaxis, seconds)
    for ax in axes:
        figure.few_ticks(ax.xaxis, 3)
        figure.tidy(ax)
    return axes


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
        figure.write_beside(ax, said, _reach(rung), position, gap=3)
    if low is None or high is None:
        return
    if rung.latency_s is None:
        ax.barh(position, low + high, _BAR_HEIGHT, color="none", edgecolor=NEUTRAL, linewidth=0.8)
        figure.write_beside(ax, f"~{seconds(low + high)}", low + high, position, gap=3)
    ax.plot(
        [max(low, high)] * 2, [position - _BAR_HEIGHT / 2, position + _BAR_HEIGHT / 2], color=INK,
        linewidth=1.2, solid_capstyle="butt",
    )  # fmt: skip


def _verdict(study: FusionStudy, rung: Rung) -> str:
    """Describe how full fusion compares with none, or that rungs are the same program."""
    if rung.same_as is not None:
        return ", same"
    step = study.steps[-1]
    return f", {step.verdict}" if rung.name == step.after and step.verdict is not None else ""


def _reach(rung: Rung) -> float:
    """Return how far to the right the rung's marks go."""
    low, high = rung.memory_time_s or 0.0, rung.compute_time_s or 0.0
    if rung.latency_s is None:
        return low + high
    return max(rung.latency_s, (rung.interval_s or (0.0, 0.0))[1], low, high)


_EFFECT = {
    HELPS: "helps",
    HURTS: "hurts",
    NO_DIFFERENCE: "makes no difference to",
    SAME: "changes nothing in",
}


def _summary(study: FusionStudy) -> Summary:
    name, verdict = f"{study.workload}{at_batch(study.batch, ' at batch')}", study.verdict
    why = "not measured" if verdict is None else "too noisy for a verdict"
    return Summary(
        name=f"fusion{at_batch(study.batch)}",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=("Fusion ", _EFFECT[verdict], f" {name}.")
        if verdict in _EFFECT
        else (f"What fusion does to {name}: ", why, "."),
        found=verdict or "not measured",
        lead=study.conclusions,
        figure="Bytes and latency, by how much is fused",
    )


PRESENTER = study_presenter(fusion_tables, _summary)
