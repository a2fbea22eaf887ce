"""The calibration that is kept on disk, and when it must not be used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgegraph.base.files import cache_folder, keep, replacing
from edgegraph.device import host
from edgegraph.device.device import Device, check_device
from edgegraph.errors import FormatError, InputError

SCHEME = "5"
"""Changes when the way of measuring changes so much that older figures do not compare."""

FORMAT_VERSION = 1


class CalibrationWarning(UserWarning):
    """A stored calibration exists and cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """The file's content."""

    format: int
    device: Device


def write_device(device: Device, path: Path) -> None:
    """Write a calibrated device to a file of its own, for another machine."""
    with replacing(path) as temporary:
        temporary.write_bytes(_encoded(device))


def read_device(path: Path) -> Device:
    """Return the device in a file that `write_device` or the board's own script wrote.

    Raises:
        InputError: There is no such file.
        FormatError: It is no calibration, or its figures cannot be true.
    """
    try:
        return _read(path)
    except OSError as error:
        raise InputError(
            f"no calibration at {path} ({error.strerror}); `edgegraph calibrate --export` writes"
            " one"
        ) from error


def _encoded(device: Device) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_Stored(format=FORMAT_VERSION, device=device)))


def calibration_path() -> Path:
    """Return the file of the calibration, in the cache folder."""
    return cache_folder() / "calibration.json"


def machine_identity() -> dict[str, str]:
    """Describe what must not change for a calibration to hold, without importing jax."""
    cores = host.usable_cores()
    caches = ", ".join(
        f"{cache.name} {cache.instances} x {cache.size_bytes // cache.instances // 1024} KiB"
        for cache in host.caches(cores)
    )
    return {
        "processor": host.processor(),
        "cores": str(len(cores)),
        "caches": caches or "unknown",
        "jax": host.version("jax"),
        "jaxlib": host.version("jaxlib"),
        "calibration scheme": SCHEME,
    }


def save_calibration(device: Device) -> Path:
    """Write the calibration; a reader sees the old one or the new one, never a part.

    Where the cache cannot be written, a warning says so.
    """
    keep(calibration_path(), _encoded(device), "the calibration is")
    return calibration_path()


def load_calibration() -> Device | None:
    """Return this machine's stored calibration, or None without one.

    A `CalibrationWarning` says why one that is there cannot be used: it cannot be read, or was made
    on a machine or with versions other than these.
    """
    path = calibration_path()
    try:
        device = _read(path)
    except FileNotFoundError:
        return None
    except (OSError, FormatError) as error:
        _warn(f"the stored calibration cannot be used: {error}")
        return None
    changes = changed(device.fingerprint or {}, machine_identity())
    if changes:
        _warn(f"the stored calibration was made elsewhere: {'; '.join(changes)}")
        return None
    return device


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name what differs between two identities of machines: ``cores was 2, is 4``."""
    return [
        f"{key} was {before.get(key, 'not recorded')}, is {now.get(key, 'not recorded')}"
        for key in [*now, *(key for key in before if key not in now)]
        if before.get(key) != now.get(key)
    ]


def _read(path: Path) -> Device:
    content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("format")
        number = None if version is None else msgspec.json.decode(version, type=int)
        if number != FORMAT_VERSION:
            raise FormatError(f"{path} has format {number}, this EdgeGraph reads {FORMAT_VERSION}")
        device = msgspec.json.decode(content, type=_Stored).device
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is not a calibration ({error})") from error
    check_device(device, str(path))
    return device


def _warn(message: str) -> None:
    warnings.warn(
        f"{message}; calibrate again (`edgegraph calibrate`)", CalibrationWarning, stacklevel=3
    )
