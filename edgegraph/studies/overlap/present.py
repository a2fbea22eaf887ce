"""The overlap study: its tables, its figure, and what a page says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import percent, ratio, seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.palette import BOUND_COLOURS, NEUTRAL
from edgegraph.reporting.presenters import Summary, at_batch, study_presenter
from edgegraph.reporting.table_kit import cells, column_table, styled
from edgegraph.reporting.timeline import schedule_sentences, transfer_table
from edgegraph.results.columns import Column, columns_of
from edgegraph.results.verdicts import OK
from edgegraph.studies.overlap.result import ABOVE, BELOW, UNCLEAR, WITHIN, Bracket, OverlapStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE = {WITHIN: "blue", ABOVE: "red", BELOW: "magenta", UNCLEAR: "dim"}


def overlap_table(study: OverlapStudy, wide: bool | None = None) -> Group:
    """Show a study: brackets, transfers, critical path, dispatch and input."""
    name = f"{study.workload}{at_batch(study.batch)}, {study.target}"
    parts: list[RenderableType] = [Text(f"{name}: {seconds(study.latency.median_s)}", "bold")]
    if study.whole is None:
        parts.append(Text("no device, so no brackets: run `edgegraph calibrate`", "dim"))
    else:
        parts.append(_brackets(study.brackets))
    if study.schedule is not None:
        if study.schedule.transfers:
            parts.append(transfer_table(study.schedule, wide=bool(wide)))
        parts += map(Text, schedule_sentences(study.schedule))
    parts += [Text(line) for line in sentences(study)]
    if study.verdict != OK:
        reasons = [*study.latency.reasons, *(study.host_input.reasons if study.host_input else ())]
        parts.append(Text(f"{study.verdict}: {'; '.join(reasons[:2])}", "yellow"))
    return Group(*parts)


def sentences(study: OverlapStudy) -> list[str]:
    """Describe in words what dispatch and input overlap gain; no claim where it was too noisy."""
    said = []
    gain = study.dispatch_gain
    if gain is not None:
        best = max(study.throughputs, key=lambda found: found.calls_per_s)
        found = [f"{ratio(gain)} times as many as one after the other"]
        if best.verdict != OK or study.latency.verdict != OK:
            found.append("too noisy for a verdict")
        said.append(
            f"Calls in flight together: {si(best.samples_per_s)}/s at queue depth"
            f" {best.queue_depth}, {', '.join(found)}."
        )
    host = study.host_input
    if host is None:
        said.append("Input overlap was not measured: the workload has no input pipeline.")
    else:
        verdict = f"overlap {'takes away' if host.gain > 0 else 'adds'} {percent(abs(host.gain))}"
        if host.verdict != OK or abs(host.gain) < 0.05:
            verdict = "no difference" if host.verdict == OK else "too noisy for a verdict"
        said.append(
            f"Input: the host prepares a batch in {seconds(host.prepare_s)} and sends it in"
            f" {seconds(host.transfer_s)}, the device works {seconds(host.step_s)}. One after the"
            f" other {seconds(host.serial_s)} a step, side by side {seconds(host.overlapped_s)}:"
            f" {verdict}."
        )
    return said


def _brackets(brackets: Sequence[Bracket]) -> Table:
    table = column_table(_COLUMNS, min_width=10)
    for bracket in brackets:
        told = bracket.overlap is not None and bracket.place == WITHIN
        row = cells(
            bracket,
            _COLUMNS,
            layer=label(bracket),
            bracket=f"{seconds(bracket.overlapped_s)} to {seconds(bracket.serial_s)}",
            place=styled(bracket.place, _STYLE),
            **({} if told else {"overlap": ""}),
        )
        table.add_row(*row, style="bold" if bracket.layer is None else "")
    return table


_COLUMNS = {
    **columns_of(Bracket, "layer", "compute_time_s", "memory_time_s"),
    "bracket": Column(heading="bracket"),
    **columns_of(Bracket, "time_s", "place", "overlap"),
}


COLOURS = {
    WITHIN: BOUND_COLOURS["compute"],
    ABOVE: BOUND_COLOURS["overhead"],
    BELOW: BOUND_COLOURS["network"],
    UNCLEAR: NEUTRAL,
}
MARKERS = {WITHIN: "o", ABOVE: "^", BELOW: "v", UNCLEAR: "x"}
WHOLE = "whole program"
_NAME = 34


def draw(
    study: OverlapStudy, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES
) -> Axes:
    """Draw every layer's measured time in its bracket, from perfect to no overlap."""
    if study.whole is None:
        raise InputError(
            f"the overlap study of {study.workload!r} was made without a device, so there are no"
            " brackets; calibrate this machine first, or pass device="
        )
    longest = sorted(study.layers, key=lambda bracket: -bracket.time_s)[: figure.MOST_BARS]
    shown = [study.whole, *(bracket for bracket in study.layers if bracket in longest)]
    labels = [label(bracket) for bracket in shown]
    if ax is None:
        height = 1.02 + figure.ROW_INCHES * max(2, len(shown))
        ax = figure.column_axes(height, left=figure.names_margin(labels), top=0.53, width=width)
        figure.write_title(ax, f"{study.workload}{at_batch(study.batch)}, {study.target}: overlap")
    for place, bracket in enumerate(shown):
        _draw_row(ax, place, bracket)
    ax.set_xscale("log")
    figure.name_rows(ax, labels, parse_math=False)
    ends = [end for row in shown for end in (row.overlapped_s, row.serial_s, row.time_s)]
    ax.set_xlim(min(ends) / 2, max(ends) * (max(ends) / min(ends)) ** 0.3)
    figure.write_values(ax.xaxis, seconds)
    figure.log_ticks(ax.xaxis, 6, span=max(ends) / min(ends))
    figure.name_across(ax, "time, measured (roofline bracket in grey)")
    _legend(ax, shown)
    figure.tidy(ax)
    return ax


def label(bracket: Bracket) -> str:
    """Name a bracket: its layer without the network's own name, and a phase that is not forward."""
    if bracket.layer is None:
        return WHOLE
    _, _, below = bracket.layer.partition("/")
    phase = "" if bracket.phase in (None, "forward") else f" ({bracket.phase})"
    return shorten(below or bracket.layer, _NAME) + phase


def _draw_row(ax: Axes, place: int, bracket: Bracket) -> None:
    ax.plot(
        [bracket.overlapped_s, bracket.serial_s], [place, place], "|-", color=NEUTRAL, alpha=0.55,
        linewidth=6, solid_capstyle="butt", markersize=6, markeredgewidth=1.2,
    )  # fmt: skip
    ax.plot(
        bracket.time_s, place, MARKERS[bracket.place], color=COLOURS[bracket.place],
        markersize=4.5,
    )  # fmt: skip
    overlap = bracket.overlap
    said = seconds(bracket.time_s)
    if bracket.place == WITHIN and overlap is not None:
        said += f", {percent(min(1.0, max(0.0, overlap)))}"
    figure.write_beside(ax, said, max(bracket.time_s, bracket.serial_s), place)


def _legend(ax: Axes, shown: list[Bracket]) -> None:
    said = {
        WITHIN: "within (% overlapped)",
        ABOVE: "above: other costs",
        BELOW: "below: peaks too low",
        UNCLEAR: "too noisy to tell",
    }
    present = {bracket.place for bracket in shown}
    handles = [figure.patch_handle("from max to sum of the two", color=NEUTRAL, alpha=0.55)]
    handles += [
        figure.mark_handle(text, MARKERS[place], COLOURS[place])
        for place, text in said.items()
        if place in present
    ]
    figure.write_legend(ax, handles, columns=2)


def _summary(study: OverlapStudy) -> Summary:
    place = "" if study.whole is None else f", {study.whole.place} its roofline bracket"
    name = f"{study.workload}{at_batch(study.batch, ' at batch')}"
    latency = study.latency
    sound = latency.verdict == OK
    found = seconds(latency.median_s) if sound else f"the measurement is {latency.verdict}"
    return Summary(
        name=f"overlap{at_batch(study.batch)}",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=(f"{name} takes ", found, f"{place}.") if sound else (f"{name}: ", found, "."),
        found=found,
        lead=sentences(study),
        figure=None if study.whole is None else "Layers in their brackets",
        schedule=study.schedule,
    )


PRESENTER = study_presenter(overlap_table, _summary)
