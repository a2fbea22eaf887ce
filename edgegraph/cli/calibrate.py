"""``edgegraph calibrate``: measure what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.output import print_json, print_rich
from edgegraph.cli.progress import progress
from edgegraph.units import si

if TYPE_CHECKING:
    from rich.table import Table

    from edgegraph.device.device import Device


def calibrate(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure anew, also where a calibration is stored.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the device as a JSON object.")
    ] = False,
) -> None:
    """Measure this machine's peak arithmetic and memory bandwidth, once, in about a minute."""
    from edgegraph import xla
    from edgegraph.device import calibrate as calibration

    xla.set_synchronous_dispatch()
    device = None if fresh else calibration.load_calibration()
    known = device is not None
    if device is None:
        with progress() as report:
            device = calibration.calibrate(progress=report)
    if json:
        print_json(device)
        return
    typer.echo(device.name)
    print_rich(_memory(device), _arithmetic(device))
    typer.echo(device.source)
    if known:
        typer.echo(f"Taken at {device.measured_at}; `edgegraph calibrate --fresh` measures anew.")


def _memory(device: Device) -> Table:
    table = _table("memory", "holds", "bandwidth")
    for level in device.memory:
        held = "" if level.size_bytes is None else f"{level.size_bytes / 1024:,.0f} KiB"
        table.add_row(level.name, held, si(level.bandwidth_bytes_per_s, "B/s"))
    return table


def _arithmetic(device: Device) -> Table:
    """Show the peaks, and the intensities in FLOP/byte from which they bind."""
    levels = [level.name for level in device.memory]
    table = _table("arithmetic", "peak", *(f"ridge at {name}" for name in levels))
    for dtype, peak in device.peak_flops_per_s.items():
        ridges = (f"{device.ridge_point(dtype, name):,.2f} FLOP/B" for name in levels)
        table.add_row(dtype, si(peak, "FLOP/s"), *ridges)
    return table


def _table(name: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(name)
    for column in columns:
        table.add_column(column, justify="right")
    return table
