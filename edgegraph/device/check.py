"""What every device must satisfy, whoever measured or wrote down its figures."""

from __future__ import annotations

import math
from itertools import pairwise

from edgegraph.device.device import Device
from edgegraph.errors import FormatError


def check_device(device: Device, where: str) -> None:
    """Check that a device's rates are positive and its memory levels in order.

    Args:
        device: To check.
        where: The file that it comes from, for the message.

    Raises:
        FormatError: A rate or size is not a positive number, no rate or level is given, or a
            larger memory level is said to be faster than a smaller one.
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
