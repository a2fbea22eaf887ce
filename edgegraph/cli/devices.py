"""``edgegraph devices``: what is known of which device."""

from __future__ import annotations

from typing import Annotated

import typer

from edgegraph.cli.output import print_json, print_rich


def devices(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[DEVICE]", help="Show one device with the source of each figure."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the devices whose roofs are known, or show one with its sources."""
    from msgspec import to_builtins

    from edgegraph.device.catalogue import catalogue, find_entry
    from edgegraph.device.catalogue import devices as known_devices

    if name is not None:
        entry = find_entry(name)
        if json:
            print_json(to_builtins(entry))
        else:
            from edgegraph.report.device_table import device_table

            print_rich(device_table(entry))
        return
    known = known_devices()
    if json:
        print_json([{"device": key, **to_builtins(device)} for key, device in known.items()])
    else:
        from edgegraph.report.device_table import devices_table

        print_rich(devices_table(known, {entry.key: entry for entry in catalogue()}))
