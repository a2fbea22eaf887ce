"""Devices that need not be here: published figures, each with its source and its certainty.

The figures stand in ``catalogue.toml`` beside this module. A file of the same form,
``devices.toml`` in the user's configuration folder, adds devices and replaces those of the same
key.
"""

from __future__ import annotations

import difflib
import os
from functools import cache
from pathlib import Path

import platformdirs

from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.device import Device
from edgegraph.device.entry import HOST, Entry, read_catalogue
from edgegraph.errors import FormatError, InputError

CONFIGURATION_FOLDER_VARIABLE = "EDGEGRAPH_CONFIG_DIR"
_SHIPPED = Path(__file__).with_name("catalogue.toml")


def devices() -> dict[str, Device]:
    """Return every known device by its short name.

    Returns:
        This machine as ``host`` if it was calibrated, then the catalogue from microcontrollers to
        accelerators, then the user's own devices. Peak rates are dense.

    Raises:
        FormatError: The user's ``devices.toml`` is not a catalogue.

    Example:
        >>> board = devices()["rpi5"]
        >>> board.name, board.peak_flops_per_s["f32"], round(board.ridge_point("f32"), 1)
        ('Raspberry Pi 5 (8 GB)', 153600000000.0, 9.0)
    """
    host = load_calibration()
    known = {} if host is None else {HOST: host}
    return known | {entry.key: entry.device for entry in catalogue()}


def find_device(name: str) -> Device:
    """Return one device by its key or an alias.

    Args:
        name: ``host`` for this machine, or as in the catalogue: ``rpi5``, ``cortex-m7``,
            ``tpu:v5e``.

    Raises:
        InputError: No device has that name, or this machine was never calibrated.

    Example:
        >>> find_device("gpu:h100").name
        'NVIDIA H100 SXM 80 GB'
    """
    if name == HOST:
        host = load_calibration()
        if host is None:
            raise InputError("this machine was not calibrated; run `edgegraph calibrate` first")
        return host
    return find_entry(name).device


def find_entry(name: str) -> Entry:
    """Return one entry of the catalogue, with its sources, by its key or an alias.

    Raises:
        InputError: No entry has that name.
    """
    entries = {alias: entry for entry in catalogue() for alias in (entry.key, *entry.aliases)}
    if name in entries:
        return entries[name]
    close = difflib.get_close_matches(name, entries, n=3)
    hint = f"did you mean {' or '.join(close)}" if close else "see `edgegraph devices`"
    raise InputError(f"no device is called {name!r}; {hint}")


def catalogue() -> tuple[Entry, ...]:
    """Return all entries: those that come with EdgeGraph, and the user's own after them.

    Raises:
        FormatError: The user's file is not a catalogue.
    """
    own = _own_entries()
    replaced = {name for entry in own for name in (entry.key, *entry.aliases)}
    kept = (
        entry for entry in _shipped_entries() if replaced.isdisjoint((entry.key, *entry.aliases))
    )
    return (*kept, *own)


def own_catalogue_path() -> Path:
    """Return the file for the user's own devices; it need not exist.

    Example:
        >>> own_catalogue_path().name
        'devices.toml'
    """
    folder = os.environ.get(CONFIGURATION_FOLDER_VARIABLE)
    return Path(folder or platformdirs.user_config_dir("edgegraph")) / "devices.toml"


@cache
def _shipped_entries() -> tuple[Entry, ...]:
    return read_catalogue(_SHIPPED)


def _own_entries() -> tuple[Entry, ...]:
    path = own_catalogue_path()
    try:
        return read_catalogue(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror or error})") from error
