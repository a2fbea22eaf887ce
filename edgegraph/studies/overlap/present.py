"""The overlap study at the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import UNKNOWN, percent, ratio, seconds, si
from edgegraph.reporting.words import plural
from edgegraph.results.schedule import EXPOSED, HIDDEN, PARTLY_HIDDEN, Schedule
from edgegraph.results.verdicts import OK
from edgegraph.studies.overlap.plot import label
from edgegraph.studies.overlap.result import ABOVE, BELOW, UNCLEAR, WITHIN, Bracket, OverlapStudy

MOST_TRANSFERS = 20

_VERDICT_STYLE = {HIDDEN: "green", PARTLY_HIDDEN: "yellow", EXPOSED: "red"}
_STYLE = {WITHIN: "blue", ABOVE: "red", BELOW: "magenta", UNCLEAR: "dim"}


def overlap_table(study: OverlapStudy, *, wide: bool = False) -> Group:
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
        parts += _schedule(study.schedule, wide)
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


def schedule_sentences(schedule: Schedule) -> list[str]:
    """Describe in words what a schedule comes to: what it waits for, and the critical path."""
    said = []
    if not schedule.transfers:
        said.append("The schedule has no asynchronous operations.")
    elif schedule.transfer_s:
        said.append(
            f"Asynchronous operations take {seconds(schedule.transfer_s)} in all; the compute waits"
            f" {seconds(schedule.exposed_s)} for them."
        )
    if schedule.parallelism is not None:
        gain = ratio(schedule.parallelism)
        could = f"could make it at most {gain} times faster" if gain != "1" else "gain nothing"
        said.append(
            f"Critical path {seconds(schedule.critical_path_s)} of"
            f" {seconds(schedule.compute_s)} ({schedule.time_source} op times): parallel units"
            f" {could}."
        )
    if schedule.untimed:
        said.append(f"{plural(schedule.untimed, 'op')} of unknown time count as nothing.")
    return said


def transfer_table(schedule: Schedule, *, wide: bool = False) -> Table:
    """Show the asynchronous operations, those that the compute waits for longest first.

    Args:
        schedule: Any schedule.
        wide: Whether there is room for the layer, and for how often each runs in a call.
    """
    waited = sorted(schedule.transfers, key=lambda t: -(t.exposed_s or 0.0) * (t.executions or 1))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("transfer", overflow="ellipsis", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if wide:
        table.add_column("layer", no_wrap=True)
    for heading in ["runs"] * wide + ["bytes", "takes", "compute beside", "exposed"]:
        table.add_column(heading, justify="right", no_wrap=True)
    for transfer in waited[:MOST_TRANSFERS]:
        runs = UNKNOWN if transfer.executions is None else f"{transfer.executions:,}"
        table.add_row(
            f"{transfer.opcode} {transfer.start}",
            Text(transfer.verdict or UNKNOWN, _VERDICT_STYLE.get(transfer.verdict or "", "")),
            *[transfer.layer or "", runs] * wide,
            si(transfer.bytes, "B"),
            seconds(transfer.duration_s),
            seconds(transfer.compute_s),
            seconds(transfer.exposed_s),
        )
    if len(waited) > MOST_TRANSFERS:
        table.add_row(f"{len(waited) - MOST_TRANSFERS} more", *[""] * (7 if wide else 5))
    return table
