"""What the hardware can do: peak arithmetic by dtype, bandwidth by memory level, the roofline.

Matrix units take f32 products in a narrower dtype unless they are told to be exact: JAX's default
precision means TF32 on NVIDIA GPUs from Ampere on, and one pass of bf16 on TPUs. More precise
products take several passes there. Source: JAX, "Matmul precision",
https://docs.jax.dev/en/latest/201/precision.html, and `jax.lax.Precision`.

Source of the roofline: Williams, Waterman and Patterson, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures", Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from edgegraph.device.kernel_rates import KernelRate
from edgegraph.errors import FormatError
from edgegraph.hlo.module import BITS_BY_DTYPE, dtype_family


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
        loop_op_launch_s: What starting one op takes inside a loop, from the second iteration on;
            None where unknown.
        loop_step_s: What it takes to decide on one more iteration of a loop whose length the
            compiler does not know; None where unknown.
        argument_s, result_s: What each array beyond the first that an executable takes, or gives
            back, adds to its launch; None where unknown.
        capacity_bytes: Size of main memory; None where unknown.
        guessed_from: The machine whose kernels stand in for those that were not measured on this
            device (`edgegraph.device.forecast`); None where none do.
        guessed_kinds: Kinds of these.
        intervals: 95 % confidence intervals of calibrated rates, by dtype and by memory level.
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
    loop_step_s: float | None = None
    argument_s: float | None = None
    result_s: float | None = None
    loop_op_launch_s: float | None = None
    capacity_bytes: int | None = None
    guessed_from: str | None = None
    guessed_kinds: tuple[str, ...] = ()
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def launch_s(self, arguments: int, results: int) -> float:
        """Return what launching an executable with so many arrays takes; 0 where unknown."""
        further_s = (self.argument_s or 0.0) * max(0, arguments - 1)
        further_s += (self.result_s or 0.0) * max(0, results - 1)
        return (self.dispatch_s or 0.0) + further_s

    def roof_dtype(self, dtype: str) -> str:
        """Name the roof that bounds arithmetic in `dtype`: itself where listed.

        Complex numbers stand under that of the real ones they are made of. Else the fastest of
        those that can stand in for it: of its kind, and as wide or wider, so that it stays a
        bound. Else, as for predicates, the device's first (reference) roof. The op's `roof` column
        says which.
        """
        peaks, dtype = self.peak_flops_per_s, _REAL.get(dtype, dtype)
        if dtype in peaks:
            return dtype
        kind, bits = _kind_and_bits(dtype)
        wider = [name for name in peaks if (k := _kind_and_bits(name))[0] == kind and k[1] >= bits]
        return max(wider, key=peaks.__getitem__, default=next(iter(peaks)))

    def level_for(self, working_set_bytes: int) -> MemoryLevel:
        """Return the fastest memory level that holds `working_set_bytes`."""
        holds = (
            m for m in self.memory if m.size_bytes is None or working_set_bytes <= m.size_bytes
        )
        return next(holds, self.memory[-1])

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
    return dtype_family(dtype), 32 if dtype == "tf32" else BITS_BY_DTYPE.get(dtype, 0)


def check_device(device: Device, where: str) -> None:
    """Refuse a device from a file whose figures cannot be true.

    Rates and sizes are positive, and a larger memory level is no faster than a smaller one.
    """

    def refuse(what: str) -> FormatError:
        return FormatError(f"{where}: device {device.name!r} {what}")

    if not device.peak_flops_per_s or not device.memory:
        raise refuse("has no peak rate or no memory level; give at least one of each")
    rates = {f"peak for {dtype}": rate for dtype, rate in device.peak_flops_per_s.items()}
    rates |= {f"bandwidth of {m.name}": m.bandwidth_bytes_per_s for m in device.memory}
    if device.dispatch_s is not None:
        rates["dispatch_s"] = device.dispatch_s
    for what, rate in rates.items():
        if not (math.isfinite(rate) and rate > 0):
            raise refuse(f"has {rate} as {what}; it must be positive")
    for smaller, larger in pairwise(device.memory):
        if smaller.size_bytes is None or smaller.size_bytes <= 0:
            raise refuse(f"gives no size for {smaller.name}; only the last level may go without")
        if larger.size_bytes is not None and larger.size_bytes <= smaller.size_bytes:
            raise refuse(f"lists {larger.name} after {smaller.name}, which is not smaller")
        if larger.bandwidth_bytes_per_s > smaller.bandwidth_bytes_per_s:
            raise refuse(f"says that {larger.name} is faster than {smaller.name}; levels are"
                         " listed fastest first")  # fmt: skip


_PASSES_OF_BF16 = {"default": 1, "high": 3, "highest": 6}
"""Of one f32 product on units for bf16, by its precision (bf16_3x and bf16_6x)."""

_REAL = {"c64": "f32", "c128": "f64"}
"""What the products of complex numbers are made of."""

_ALGORITHM = re.compile(r"dot_(?P<lhs>[a-z0-9]+)_[a-z0-9]+_[a-z0-9]+?(?:_x(?P<passes>\d+))?$")
"""``dot_bf16_bf16_f32_x3``: dtypes of the operands and of the sum, then the number of passes."""


class Arithmetic(NamedTuple):
    """How a device computes: in `dtype`, each product in `passes` products of that dtype."""

    dtype: str
    passes: int = 1


def arithmetic(
    device: Device | None, dtype: str, *, values: str | None = None, precision: str | None = None
) -> Arithmetic:
    """Return what a device computes an op in; what the program names where no device is known.

    Args:
        device: The device, or None.
        dtype: XLA dtype name that the program names.
        values: A narrower dtype that holds all of the values of a product's operands, because
            they were converted from it on the way; None if there is none.
        precision: Of a product ``default``, ``high``, ``highest`` or the name of an algorithm
            (``dot_bf16_bf16_f32_x3``); None for every other op.
    """
    if device is None or precision is None or device.f32_products is None:
        # Other devices compute as the program says: a CPU takes no notice of precisions.
        return Arithmetic(dtype)
    if values is not None:
        return Arithmetic(values)
    if _REAL.get(dtype, dtype) != "f32":
        return Arithmetic(dtype)
    named = _ALGORITHM.match(precision)
    if named is not None and named["lhs"] != "f32":
        return Arithmetic(named["lhs"], int(named["passes"] or 1))
    level = "highest" if named is not None else precision
    if device.f32_products == "bf16":
        return Arithmetic("bf16", _PASSES_OF_BF16.get(level, 1))
    return Arithmetic(dtype if level == "highest" else device.f32_products)


class RooflineTimes(NamedTuple):
    """The time that the hardware needs at least for one operation, and what binds it.

    `roof` and `level` are the dtype and the memory level whose rates were used; `bound` is
    ``compute`` where the arithmetic takes at least as long as the data, else ``memory``. Times are
    None where what they rest on is unknown, the bound also where nothing is to be done.
    """

    compute_time_s: float | None
    memory_time_s: float | None
    bound: str | None
    roof: str
    level: str


def roofline_times(
    *,
    flops: float | None,
    bytes: float | None,
    dtype: str,
    working_set_bytes: int | None,
    device: Device,
    passes: int = 1,
) -> RooflineTimes:
    """Return the times of one operation at the roofs of `device`.

    T_compute = flops / peak and T_memory = bytes / bandwidth (Williams, Waterman and Patterson,
    2009). The bandwidth is that of the fastest level which holds the working set, so that both
    are lower bounds: no execution on the device takes less time. Where the working set is unknown,
    the fastest level is taken for the same reason.

    A dtype that the device has no peak for runs under the roof that `Device.roof_dtype` gives; one
    product takes `passes` products of it, as `arithmetic` says. Bytes are those read and written
    together.
    """
    peaks = device.peak_flops_per_s
    roof = device.roof_dtype(dtype)
    level = device.level_for(0 if working_set_bytes is None else working_set_bytes)
    compute_time_s = None if flops is None else flops * passes / peaks[roof]
    memory_time_s = None if bytes is None else bytes / level.bandwidth_bytes_per_s
    binding = bound(compute_time_s, memory_time_s)
    return RooflineTimes(compute_time_s, memory_time_s, binding, roof, level.name)


def bound(
    compute_time_s: float | None, memory_time_s: float | None, network_time_s: float | None = None
) -> str | None:
    """Return which roof binds; None where no time is known or all are 0."""
    roof_s = overlapped(compute_time_s, memory_time_s, network_time_s)
    if not roof_s:
        return None
    if roof_s == compute_time_s:
        return "compute"
    return "memory" if roof_s == memory_time_s else "network"


def overlapped(
    compute_time_s: float | None, memory_time_s: float | None, network_time_s: float | None = None
) -> float | None:
    """Return the time under perfect overlap, the largest; None where one is unknown.

    Without a network, or where nothing is sent, its time is None and counts as none.
    """
    if compute_time_s is None or memory_time_s is None:
        return None
    return max(compute_time_s, memory_time_s, network_time_s or 0.0)
