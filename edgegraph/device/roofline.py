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
