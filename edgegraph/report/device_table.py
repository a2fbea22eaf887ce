"""Devices at the terminal: the catalogue, and a program on several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.device.device import Device
from edgegraph.device.entry import Entry
from edgegraph.report.table import BOUND_STYLE
from edgegraph.results.device_comparison import DeviceComparison, DeviceRow
from edgegraph.units import percent, ratio, seconds, si


def comparison_table(comparison: DeviceComparison) -> RenderableType:
    """Show workloads, devices and batch sizes side by side.

    Returns:
        A renderable that is readable at 80 columns, errors below it.
    """
    rows = comparison.rows
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    several = len({row.workload for row in rows}) > 1
    measured = any(row.measured_s is not None for row in rows)
    compiled = any(row.compiler_time_s is not None for row in rows)
    if several:
        table.add_column("workload", no_wrap=True)
    table.add_column("device", no_wrap=True)
    headings = ["batch", "roofline time"]
    headings += ["compiler"] * compiled + ["measured"] * measured
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("bound", no_wrap=True)
    for heading in ("used", "examples/s", "memory", "fits to"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if row.error is None:
            table.add_row(*_cells(row, several=several, compiled=compiled, measured=measured))
    parts: list[RenderableType] = [table, *_losses(rows)]
    parts += [
        Text(f"{row.device}, batch {row.batch}: {row.error}", style="yellow")
        for row in rows
        if row.error is not None
    ]
    return Group(*parts)


def _cells(row: DeviceRow, *, several: bool, compiled: bool, measured: bool) -> list[Text | str]:
    cells: list[Text | str] = [row.workload] * several
    cells += [row.device, str(row.batch or ""), _span(row)]
    cells += [seconds(row.compiler_time_s)] * compiled
    mark = "" if row.verdict in (None, "OK") else "!"
    cells += [seconds(row.measured_s) + mark if row.measured_s is not None else ""] * measured
    cells.append(Text(row.bound or "", style=BOUND_STYLE.get(row.bound or "", "")))
    atmost = "" if row.measured_s is not None else "≤ "
    cells += [atmost + percent(row.utilisation), atmost + si(row.throughput_per_s)]
    fits = "" if row.fits is not False else " (does not fit)"
    cells += [
        si(row.needed_bytes, "B") + fits,
        "?" if row.largest_batch is None else f"{row.largest_batch:,}",
    ]
    return cells


def _span(row: DeviceRow) -> str:
    return f"{seconds(row.low_s)} to {seconds(row.high_s)}"


def _losses(rows: Sequence[DeviceRow]) -> list[Text]:
    """Say where the workloads differ on a device: fewer FLOPs need not be less time."""
    said: list[Text] = []
    groups: dict[tuple[str, int | None], list[DeviceRow]] = {}
    for row in rows:
        if row.error is None and row.low_s:
            groups.setdefault((row.device, row.batch), []).append(row)
    for (device, batch), (first, *others) in groups.items():
        said += [Text(f"{device}, batch {batch}: {_against(first, other)}") for other in others]
    return said


def _against(first: DeviceRow, other: DeviceRow) -> str:
    macs = (first.macs or 0) / (other.macs or 1)
    measured = first.measured_s is not None and other.measured_s is not None
    before = (first.measured_s if measured else first.low_s) or 0.0
    after = (other.measured_s if measured else other.low_s) or 1.0
    source = "measured" if measured else "at the roof"
    return (
        f"{other.workload} has {ratio(macs)} times fewer MACs than {first.workload} and takes"
        f" {ratio(before / after)} times less time {source}; its ops wait for memory"
        f" {percent(other.memory_bound_share)} of the time at the roof, those of {first.workload}"
        f" {percent(first.memory_bound_share)}."
    )


def devices_table(devices: Mapping[str, Device], entries: Mapping[str, Entry]) -> RenderableType:
    """Show every known device: its reference peak, bandwidth, ridge point, memory and power."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("device", no_wrap=True)
    table.add_column("name", overflow="ellipsis", no_wrap=True, max_width=30)
    for heading in ("peak", "bandwidth", "FLOP/B", "memory", "power"):
        table.add_column(heading, justify="right", no_wrap=True)
    kind = None
    for key, device in devices.items():
        entry = entries.get(key)
        now = "this machine" if entry is None else entry.kind
        if now != kind:
            kind = now
            table.add_row("", Text(kind, style="italic dim"))
        dtype, peak = next(iter(device.peak_flops_per_s.items()))
        capacity = None if entry is None else entry.capacity_bytes
        power = None if entry is None or entry.power is None else entry.power.value
        table.add_row(
            key,
            device.name,
            f"{si(peak, 'FLOP/s')} {dtype}",
            si(device.memory[-1].bandwidth_bytes_per_s, "B/s"),
            ratio(device.ridge_point(dtype)),
            "" if capacity is None else si(capacity, "B"),
            "" if power is None else f"{power:g} W",
        )
    return table


def device_table(entry: Entry) -> RenderableType:
    """Show one device of the catalogue: every figure, how sure it is, and its source."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("sure")
    table.add_column("source", overflow="fold")
    for name, figure in entry.figures():
        unit = figure.unit.replace("bytes", "B")
        table.add_row(name, si(figure.value, unit), figure.certainty, figure.source)
    names = ", ".join((entry.key, *entry.aliases))
    parts: list[RenderableType] = [Text(f"{entry.name} ({names})", style="bold"), table]
    if entry.note:
        parts.append(Text(entry.note, style="dim"))
    return Group(*parts)
