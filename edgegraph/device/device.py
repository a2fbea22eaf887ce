"""What the hardware can do: peak arithmetic by dtype, bandwidth by memory level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgegraph.device.kernel_rates import KernelRate
from edgegraph.hlo.module import BITS_BY_DTYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLevel:
    """One level of the memory hierarchy.

    Attributes:
        name: ``L1``, ``L2``, ``L3``, ``DRAM``, ``HBM``.
        size_bytes: Working set that it holds; None for main memory.
        bandwidth_bytes_per_s: Sustained bandwidth, reads and writes together.
    """

    name: str
    size_bytes: int | None
    bandwidth_bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Peak rates of one device.

    Attributes:
        name: As in the catalogue, or the processor's name for a calibrated host.
        peak_flops_per_s: Dense peak by XLA dtype name (``f32``, ``bf16``, ``s8``); has ``f32``
            or the widest type that the device computes in as its first key.
        memory: Memory levels, fastest and smallest first; the last one is main memory.
        origin: ``calibrated`` or ``catalogue``.
        source: Where the figures come from.
        dispatch_s: Time to launch an executable that does nothing, or None where unknown.
        fingerprint: What must not change for the figures to hold (processor, threads,
            affinity, jax version); empty for catalogue devices.
        measured_at: ISO time of the calibration, or None.
        f32_products: Dtype in which its matrix units take f32 products unless they are told to
            be exact: ``tf32`` or ``bf16``; None where f32 products run in f32.
        clock_hz: Of its cores, to read a compiler's cycles by; None where unknown.
        network_bytes_per_s: What it sends to other devices over all of its links together; None
            where it has none, or they are unknown.
        kernel_rates: What single kernels reached in the calibration, by kind and size.
        op_launch_s: What starting one op inside a program takes; None where unknown.
    """

    name: str
    peak_flops_per_s: Mapping[str, float]
    memory: tuple[MemoryLevel, ...]
    origin: str
    source: str
    dispatch_s: float | None = None
    fingerprint: Mapping[str, str] | None = None
    measured_at: str | None = None
    f32_products: str | None = None
    clock_hz: float | None = None
    kernel_rates: tuple[KernelRate, ...] = ()
    op_launch_s: float | None = None
    network_bytes_per_s: float | None = None

    def roof_dtype(self, dtype: str) -> str:
        """Name the roof that bounds arithmetic in `dtype`: itself where listed.

        Else the fastest of those that can stand in for it: of its kind, and as wide or wider, so
        that it stays a bound. Else, as for predicates, the device's first (reference) roof. The
        op's `roof` column says which.
        """
        peaks = self.peak_flops_per_s
        if dtype in peaks:
            return dtype
        kind, bits = _kind_and_bits(dtype)
        wider = [name for name in peaks if (k := _kind_and_bits(name))[0] == kind and k[1] >= bits]
        return max(wider, key=peaks.__getitem__, default=next(iter(peaks)))

    def level_for(self, working_set_bytes: int) -> MemoryLevel:
        """Return the fastest memory level that holds `working_set_bytes`."""
        for level in self.memory:
            if level.size_bytes is None or working_set_bytes <= level.size_bytes:
                return level
        return self.memory[-1]

    def ridge_point(self, dtype: str, level: str | None = None) -> float:
        """Arithmetic intensity in FLOP/byte where the roofs of `dtype` and `level` meet.

        Args:
            dtype: XLA dtype name.
            level: Name of a memory level; main memory where None.
        """
        by_name = {m.name: m for m in self.memory}
        chosen = self.memory[-1] if level is None else by_name[level]
        return self.peak_flops_per_s[self.roof_dtype(dtype)] / chosen.bandwidth_bytes_per_s


def _kind_and_bits(dtype: str) -> tuple[str, int]:
    """Return the family of a dtype, float, integer or another, and its width."""
    kind = {"b": "f", "t": "f", "u": "s", "p": "p"}.get(dtype[:1], dtype[:1])
    return kind, 32 if dtype == "tf32" else BITS_BY_DTYPE.get(dtype, 0)
