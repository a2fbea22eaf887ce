"""``edgegraph calibrate``: measure what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.output import print_json, print_rich
from edgegraph.cli.progress import progress

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
    """Measure this machine's peak arithmetic and memory bandwidth, once, in under a minute."""
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
    print_rich(_table(device))
    if known:
        typer.echo(
            f"Measured at {device.measured_at}; `edgegraph calibrate --fresh` measures anew."
        )


def _table(device: Device) -> Table:
    """Show peaks, bandwidths and the ridge points between them."""
    from rich.table import Table

    dtypes = list(device.peak_flops_per_s)
    table = Table(title=f"{device.name} ({device.origin})", title_justify="left")
    table.add_column("memory")
    table.add_column("size", justify="right")
    table.add_column("bandwidth GB/s", justify="right")
    for dtype in dtypes:
        table.add_column(f"{dtype} ridge FLOP/byte", justify="right")
    for level in device.memory:
        table.add_row(
            level.name,
            "" if level.size_bytes is None else f"{level.size_bytes / 1024:,.0f} KiB",
            f"{level.bandwidth_bytes_per_s / 1e9:,.1f}",
            *(f"{device.ridge_point(dtype, level.name):,.2f}" for dtype in dtypes),
        )
    table.add_section()
    peaks = (f"{device.peak_flops_per_s[dtype] / 1e9:,.1f} GFLOP/s" for dtype in dtypes)
    table.add_row("peak arithmetic", "", "", *peaks)
    return table
