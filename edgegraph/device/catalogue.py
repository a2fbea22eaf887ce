"""Devices that need not be here: published figures, each with its source and its certainty.

The figures stand in ``catalogue.toml`` beside this module. A file of the same form,
``devices.toml`` in the user's configuration folder, adds devices and replaces those of the same
key.
"""

from __future__ import annotations

import difflib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import platformdirs

from edgegraph.device.calibration.saved import load_calibration, read_device
from edgegraph.device.device import Device, MemoryLevel, check_device
from edgegraph.device.forecast import forecast
from edgegraph.errors import FormatError, InputError

HOST = "host"
"""Key of this machine, which no entry may take."""

CONFIGURATION_FOLDER_VARIABLE = "EDGEGRAPH_CONFIG_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One published or derived number, in its base unit: FLOP/s, bytes/s, bytes, W or Hz.

    Attributes:
        source: Title and address of where it stands.
        certainty: ``high`` (the maker, or code that drives the device), ``medium`` (secondary,
            and it agrees with the architecture) or ``low`` (derived, or a single source).
    """

    value: float
    unit: str
    source: str
    certainty: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryMemory:
    """One memory level as published: its size in bytes, its nominal bandwidth in bytes/s."""

    name: str
    size: Figure | None
    bandwidth: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A device of the catalogue.

    Attributes:
        key: Short name (``rpi5``); `aliases` are others (``gpu:h100``, ``cortex-m7``).
        kind: One of `KINDS`.
        peaks: Dense peak rate by XLA dtype name; the first is the reference roof.
        memory: Levels, fastest first; the last one is main memory and has a bandwidth.
        interconnect: What leaves one chip over all of its links in one direction, in bytes/s.
        power: Thermal design or board power, in watts.
        clock: Of its cores, in hertz.
        note: What the figures do not tell; empty if nothing.
    """

    key: str
    name: str
    kind: str
    aliases: tuple[str, ...]
    peaks: Mapping[str, Figure]
    memory: tuple[EntryMemory, ...]
    interconnect: Figure | None
    power: Figure | None
    clock: Figure | None
    note: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its key and its aliases."""
        return self.key, *self.aliases

    @property
    def capacity_bytes(self) -> float | None:
        """Size of main memory; None where it is unknown or varies."""
        size = self.memory[-1].size
        return None if size is None else size.value

    @property
    def f32_products(self) -> str | None:
        """Dtype that stands in for f32 in products, on devices whose units are made for it.

        It is ``tf32`` where there is a peak for it, ``bf16`` where there is none for f32.
        """
        if "tf32" in self.peaks:
            return "tf32"
        return "bf16" if "bf16" in self.peaks and "f32" not in self.peaks else None

    @property
    def device(self) -> Device:
        """The device as the roofline takes it.

        Levels without a published bandwidth are left out; main memory holds any working set.
        """
        main = self.memory[-1]
        rates = [*self.peaks.values(), *(level.bandwidth for level in self.memory)]
        sources = dict.fromkeys(rate.source for rate in rates if rate is not None)
        return Device(
            name=self.name,
            peak_flops_per_s={dtype: figure.value for dtype, figure in self.peaks.items()},
            memory=tuple(
                MemoryLevel(
                    name=level.name,
                    size_bytes=int(level.size.value) if level.size and level is not main else None,
                    bandwidth_bytes_per_s=level.bandwidth.value,
                )
                for level in self.memory
                if level.bandwidth is not None
            ),
            origin="catalogue",
            source="; ".join(sources),
            f32_products=self.f32_products,
            clock_hz=None if self.clock is None else self.clock.value,
            network_bytes_per_s=None if self.interconnect is None else self.interconnect.value,
            capacity_bytes=None if self.capacity_bytes is None else int(self.capacity_bytes),
        )

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Return every figure with what it is: ``peak bf16``, ``HBM bandwidth``, ``power``."""
        figures: list[tuple[str, Figure | None]] = [
            (f"peak {dtype}", figure) for dtype, figure in self.peaks.items()
        ]
        for level in self.memory:
            figures += [(f"{level.name} size", level.size)]
            figures += [(f"{level.name} bandwidth", level.bandwidth)]
        figures += [(name, getattr(self, name)) for name in _UNITS]
        return ((what, figure) for what, figure in figures if figure is not None)


_UNITS = {"interconnect": "bytes/s", "power": "W", "clock": "Hz"}
"""Of the figures that a device may go without."""

KINDS = (
    "microcontroller", "single-board computer", "phone", "laptop", "embedded GPU",
    "edge accelerator", "CPU", "GPU", "accelerator",
)  # fmt: skip

DTYPES = (
    "f64", "f32", "tf32", "bf16", "f16",
    "f8e4m3", "f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "f4e2m1fn",
    "s64", "s32", "s16", "s8", "s4", "u8",
)  # fmt: skip
"""XLA's dtype names, and tf32, in which GPUs run f32 products at reduced precision."""


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
    """Return one device by its key or an alias, or by the file of its own calibration.

    ``host`` is this machine as it was calibrated.
    """
    if is_file(name):
        return read_device(Path(name.removeprefix("device:")))
    if name.removeprefix("device:") == HOST:
        host = load_calibration()
        if host is None:
            raise InputError("this machine was not calibrated; run `edgegraph calibrate` first")
        return host
    return find_entry(name).device


def is_file(name: str) -> bool:
    """Whether a device is named by a file (``board.json``) and not by its key."""
    return name.lower().endswith(".json")


def find_board(name: str) -> Device:
    """Return a device that is not here, with what kernels are expected to reach on it.

    Those that were not measured on it come from this machine's calibration (`forecast`), if it has
    one.
    """
    launched = not is_file(name) and find_entry(name).kind in ("GPU", "embedded GPU")
    return forecast(find_device(name), load_calibration(), gpu=launched)


def find_entry(name: str) -> Entry:
    """Return one entry of the catalogue, with its sources, by its key or an alias.

    ``device:rpi5``, as the target is called, is ``rpi5``.
    """
    entries = {known: entry for entry in catalogue() for known in entry.names}
    plain = name.removeprefix("device:")
    if plain in entries:
        return entries[plain]
    close = difflib.get_close_matches(plain.lower(), entries, n=3)
    hint = f"did you mean {' or '.join(close)}" if close else "see `edgegraph devices`"
    raise InputError(f"no device is called {name!r}; {hint}")


def catalogue() -> tuple[Entry, ...]:
    """Return all entries: those that come with EdgeGraph, and the user's own after them."""
    path = own_catalogue_path()
    try:
        own = read_catalogue(path)
    except FileNotFoundError:
        own = ()
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror or error})") from error
    replaced = {name for entry in own for name in entry.names}
    return (*(entry for entry in _shipped_entries() if replaced.isdisjoint(entry.names)), *own)


def own_catalogue_path() -> Path:
    """Return the file for the user's own devices; it need not exist."""
    folder = os.environ.get(CONFIGURATION_FOLDER_VARIABLE)
    return Path(folder or platformdirs.user_config_dir("edgegraph")) / "devices.toml"


@cache
def _shipped_entries() -> tuple[Entry, ...]:
    return read_catalogue(Path(__file__).with_name("catalogue.toml"))


Certainty = Literal["high", "medium", "low"]


class _Figure(msgspec.Struct, forbid_unknown_fields=True):
    value: float | None = None
    factors: dict[str, float] | None = None
    source: str | None = None
    certainty: Certainty | None = None


class _Memory(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: _Figure | float | None = None
    bandwidth: _Figure | float | None = None


class _Device(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    name: str
    kind: str
    peak: dict[str, _Figure | float]
    memory: list[_Memory]
    source: str
    certainty: Certainty
    aliases: list[str] = []
    interconnect: _Figure | float | None = None
    power: _Figure | float | None = None
    clock: _Figure | float | None = None
    note: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    device: list[_Device] = []
    sources: dict[str, str] = {}


def read_catalogue(path: Path) -> tuple[Entry, ...]:
    """Read a TOML file of the form that ``catalogue.toml`` describes at its head.

    A `source` that is no key of its [sources] is taken as the source itself. A file of another
    form, and a figure that cannot be true, are refused with a FormatError.
    """
    try:
        content = msgspec.toml.decode(path.read_bytes(), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is not a catalogue of devices ({error})") from error
    entries = tuple(_Reader(path, content.sources, device).entry() for device in content.device)
    names = Counter(name for entry in entries for name in entry.names)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise FormatError(f"{path}: {', '.join(twice)} names two devices; keys are unique")
    return entries


class _Reader:
    """Turns one device of a file into an entry, or says which device is wrong and how."""

    def __init__(self, path: Path, sources: Mapping[str, str], device: _Device) -> None:
        self._path = path
        self._sources = sources
        self._device = device

    def entry(self) -> Entry:
        device = self._device
        if HOST in (device.key, *device.aliases):
            raise self._refuse(f"takes the name {HOST!r}, which means this machine; rename it")
        if device.kind not in KINDS:
            raise self._refuse(f"is of kind {device.kind!r}; expected one of {', '.join(KINDS)}")
        unknown = [dtype for dtype in device.peak if dtype not in DTYPES]
        if unknown:
            raise self._refuse(
                f"has a peak for {unknown[0]!r}, which is not a dtype of XLA; expected one of"
                f" {', '.join(DTYPES)}"
            )
        if not device.memory or device.memory[-1].bandwidth is None:
            raise self._refuse("needs a bandwidth for its last memory level, main memory")
        entry = Entry(
            key=device.key,
            name=device.name,
            kind=device.kind,
            aliases=tuple(device.aliases),
            peaks={
                dtype: self._figure(f"peak {dtype}", figure, "FLOP/s")
                for dtype, figure in device.peak.items()
            },
            memory=tuple(self._memory(level) for level in device.memory),
            note=device.note,
            **{n: self._optional(n, getattr(device, n), unit) for n, unit in _UNITS.items()},
        )
        check_device(entry.device, str(self._path))
        return entry

    def _memory(self, level: _Memory) -> EntryMemory:
        return EntryMemory(
            name=level.name,
            size=self._optional(f"{level.name} size", level.size, "bytes"),
            bandwidth=self._optional(f"{level.name} bandwidth", level.bandwidth, "bytes/s"),
        )

    def _optional(self, what: str, figure: _Figure | float | None, unit: str) -> Figure | None:
        return None if figure is None else self._figure(what, figure, unit)

    def _figure(self, what: str, figure: _Figure | float, unit: str) -> Figure:
        if not isinstance(figure, _Figure):
            figure = _Figure(value=figure)
        if (figure.value is None) == (figure.factors is None):
            raise self._refuse(f"needs either a value or factors for its {what}")
        value = math.prod((figure.factors or {}).values()) if figure.value is None else figure.value
        if not (math.isfinite(value) and value > 0):
            raise self._refuse(f"has {value} as {what}; it must be positive")
        source = figure.source or self._device.source
        return Figure(
            value=value,
            unit=unit,
            source=self._sources.get(source, source),
            certainty=figure.certainty or self._device.certainty,
        )

    def _refuse(self, what: str) -> FormatError:
        return FormatError(f"{self._path}: device {self._device.key!r} {what}")
