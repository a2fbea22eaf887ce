"""Where an operation stands on the roofline of a device.

Source of the model: Williams, Waterman and Patterson, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures", Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgegraph.device.device import Device


class RooflineTimes(NamedTuple):
    """The time that the hardware needs at least for one operation, and what binds it.

    Attributes:
        compute_time_s: FLOPs over the peak rate, in seconds; None where FLOPs are unknown.
        memory_time_s: Bytes over the bandwidth, in seconds; None where bytes are unknown.
        bound: ``compute`` where the arithmetic takes at least as long as the data, else
            ``memory``; None for an operation that costs nothing or whose cost is unknown.
        roof: The dtype whose peak rate was used.
        level: The memory level whose bandwidth was used.
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
    are lower bounds: no execution on the device takes less time.

    Args:
        flops: Floating-point operations, or None where unknown.
        bytes: Bytes read and written together, or None where unknown.
        dtype: XLA dtype name that the arithmetic runs in (``f32``); one that the device has no
            peak for runs under the roof that `Device.roof_dtype` gives.
        working_set_bytes: Bytes that the operation touches in one execution; where None, the
            fastest level is taken, so that the bound stays a lower bound.
        device: The device with its peak rates and memory levels.
        passes: Products of `dtype` that one product takes, as `edgegraph.device.device` says.

    Returns:
        The two times in seconds, the bound, and the roofs that were used.

    Examples:
        A dense layer of 3136 x 256 weights at batch 1 on a device of 100 GFLOP/s and 10 GB/s
        waits for its weights, 3.2 MB, ten times longer than for its arithmetic:

        >>> from edgegraph.device.device import Device, MemoryLevel
        >>> device = Device(
        ...     name="example", peak_flops_per_s={"f32": 100e9},
        ...     memory=(MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=10e9),),
        ...     origin="catalogue", source="made up")
        >>> times = roofline_times(flops=2 * 3136 * 256, bytes=4 * 3136 * 256, dtype="f32",
        ...                        working_set_bytes=4 * 3136 * 256, device=device)
        >>> times.bound, times.level
        ('memory', 'DRAM')
        >>> f"{times.compute_time_s:.2e} {times.memory_time_s:.2e}"
        '1.61e-05 3.21e-04'
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
    """Return which roof binds; None where no time is known or all are 0.

    Example:
        >>> bound(2.0, 1.0), bound(2.0, 1.0, 3.0), bound(0.0, 0.0)
        ('compute', 'network', None)
    """
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
