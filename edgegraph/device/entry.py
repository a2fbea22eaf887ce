"""One device of the catalogue, with where every figure comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgegraph.device.device import Device, MemoryLevel

HOST = "host"
"""Key of this machine, which no entry may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One published or derived number.

    Attributes:
        value: In the base unit.
        unit: ``FLOP/s``, ``bytes/s``, ``bytes``, ``W`` or ``Hz``.
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
    """One memory level as published.

    Attributes:
        name: ``L2``, ``SRAM``, ``VMEM``, ``DRAM``, ``HBM``, ``host link``.
        size: In bytes; None where unknown.
        bandwidth: Nominal, in bytes/s; None where not published.
    """

    name: str
    size: Figure | None
    bandwidth: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A device of the catalogue.

    Attributes:
        key: Short name (``rpi5``).
        name: Full name.
        kind: What sort of device, one of `KINDS`.
        aliases: Other short names (``gpu:h100``, ``cortex-m7``).
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
        known = [(level, level.bandwidth.value) for level in self.memory if level.bandwidth]
        levels = [
            MemoryLevel(
                name=level.name,
                size_bytes=(
                    int(level.size.value) if level.size and level is not self.memory[-1] else None
                ),
                bandwidth_bytes_per_s=bandwidth,
            )
            for level, bandwidth in known
        ]
        rates = [*self.peaks.values(), *(level.bandwidth for level in self.memory)]
        sources = dict.fromkeys(rate.source for rate in rates if rate is not None)
        return Device(
            name=self.name,
            peak_flops_per_s={dtype: figure.value for dtype, figure in self.peaks.items()},
            memory=tuple(levels),
            origin="catalogue",
            source="; ".join(sources),
            f32_products=self.f32_products,
            clock_hz=None if self.clock is None else self.clock.value,
            network_bytes_per_s=None if self.interconnect is None else self.interconnect.value,
        )

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Yield every figure with what it is: ``peak bf16``, ``HBM bandwidth``, ``power``."""
        for dtype, figure in self.peaks.items():
            yield f"peak {dtype}", figure
        for level in self.memory:
            if level.size is not None:
                yield f"{level.name} size", level.size
            if level.bandwidth is not None:
                yield f"{level.name} bandwidth", level.bandwidth
        if self.interconnect is not None:
            yield "interconnect", self.interconnect
        if self.power is not None:
            yield "power", self.power
        if self.clock is not None:
            yield "clock", self.clock
