"""Devices at the terminal: the catalogue, and one device with its sources."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import ratio, si
from edgegraph.device.catalogue import Entry
from edgegraph.device.device import Device


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
