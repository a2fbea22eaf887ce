"""A schedule in words, and its transfers as a table."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from edgegraph.base.units import UNKNOWN, ratio, seconds, si
from edgegraph.reporting.table_kit import plain_table
from edgegraph.reporting.words import plural
from edgegraph.results.schedule import EXPOSED, HIDDEN, PARTLY_HIDDEN, Schedule

MOST_TRANSFERS = 20

_VERDICT_STYLE = {HIDDEN: "green", PARTLY_HIDDEN: "yellow", EXPOSED: "red"}


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
    headings = ["bytes", "takes", "compute beside", "exposed"]
    table = plain_table(
        "transfer", "verdict", *["layer", "runs"] * wide, *headings, words=("verdict", "layer")
    )
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
