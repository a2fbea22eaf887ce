"""The overlap study at the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import percent, ratio, seconds, si
from edgegraph.reporting.schedule import schedule_sentences, transfer_table
from edgegraph.reporting.study_page import Summary, at_batch, study_presenter
from edgegraph.results.schedule import Schedule
from edgegraph.results.verdicts import OK
from edgegraph.studies.overlap.plot import label
from edgegraph.studies.overlap.result import ABOVE, BELOW, UNCLEAR, WITHIN, Bracket, OverlapStudy

_STYLE = {WITHIN: "blue", ABOVE: "red", BELOW: "magenta", UNCLEAR: "dim"}


def overlap_table(study: OverlapStudy, wide: bool | None = None) -> Group:
    """Show a study: brackets, transfers, critical path, dispatch and input.

    Args:
        study: Any overlap study.
        wide: Whether there is room for every column of the transfers.

    Returns:
        A renderable that is readable at 80 columns, unless `wide`.
    """
    at = "" if study.batch is None else f", batch {study.batch}"
    parts: list[RenderableType] = [
        Text(f"{study.workload}{at}, {study.target}: {seconds(study.latency.median_s)}", "bold")
    ]
    if study.whole is None:
        parts.append(Text("no device, so no brackets: run `edgegraph calibrate`", "dim"))
    else:
        parts.append(_brackets([study.whole, *study.layers]))
    if study.schedule is not None:
        parts += _schedule(study.schedule, bool(wide))
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
        verdict = "too noisy for a verdict" if host.verdict != OK else _gained(host.gain)
        said.append(
            f"Input: the host prepares a batch in {seconds(host.prepare_s)} and sends it in"
            f" {seconds(host.transfer_s)}, the device works {seconds(host.step_s)}. One after the"
            f" other {seconds(host.serial_s)} a step, side by side {seconds(host.overlapped_s)}:"
            f" {verdict}."
        )
    return said


def _gained(gain: float) -> str:
    if abs(gain) < 0.05:
        return "no difference"
    return f"overlap {'takes away' if gain > 0 else 'adds'} {percent(abs(gain))}"


def _brackets(brackets: list[Bracket]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("layer", overflow="ellipsis", no_wrap=True, min_width=10)
    for heading in ("T_compute", "T_memory", "bracket", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("place", no_wrap=True)
    table.add_column("overlap", justify="right", no_wrap=True)
    for bracket in brackets:
        overlap = bracket.overlap
        table.add_row(
            label(bracket),
            seconds(bracket.compute_time_s),
            seconds(bracket.memory_time_s),
            f"{seconds(bracket.overlapped_s)} to {seconds(bracket.serial_s)}",
            seconds(bracket.time_s),
            Text(bracket.place, _STYLE[bracket.place]),
            percent(overlap) if overlap is not None and bracket.place == WITHIN else "",
            style="bold" if bracket.layer is None else "",
        )
    return table


def _schedule(schedule: Schedule, wide: bool) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if schedule.transfers:
        parts.append(transfer_table(schedule, wide=wide))
    return [*parts, *map(Text, schedule_sentences(schedule))]


def _summary(study: OverlapStudy) -> Summary:
    place = "" if study.whole is None else f", {study.whole.place} its roofline bracket"
    name = f"{study.workload}{at_batch(study.batch, ' at batch')}"
    return Summary(
        name=f"overlap{at_batch(study.batch)}",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=(f"{name} takes ", seconds(study.latency.median_s), f"{place}."),
        found=seconds(study.latency.median_s),
        lead=sentences(study),
        figure=None if study.whole is None else "Layers in their brackets",
        schedule=study.schedule,
    )


PRESENTER = study_presenter(overlap_table, _summary)
