"""How well does a calibration repeat? Measures this machine twice and prints both.

Usage: ``python scripts/bench/calibration.py``. Takes about a minute and stores nothing. Ratios
within 0.9 and 1.1 on a quiet machine are what to expect.
"""

from __future__ import annotations

import sys
import time

import edgegraph as eg


def figures(device: eg.Device) -> dict[str, tuple[float, str]]:
    """Return every figure of a device by name, with its unit."""
    peaks = {f"peak {d}": (r / 1e9, "GFLOP/s") for d, r in device.peak_flops_per_s.items()}
    memory = {m.name: (m.bandwidth_bytes_per_s / 1e9, "GB/s") for m in device.memory}
    ridge = {"ridge point f32": (device.ridge_point("f32"), "FLOP/byte")}
    dispatch = {"dispatch": ((device.dispatch_s or float("nan")) * 1e6, "us")}
    return peaks | memory | ridge | dispatch


def show_progress(message: str, share: float | None) -> None:
    """Show how far it is, on the error stream."""
    print(f"\r{share or 0:4.0%} {message:60}", end="", file=sys.stderr, flush=True)


def main() -> None:
    devices = []
    for run in (1, 2):
        started = time.monotonic()
        devices.append(eg.calibrate(store=False, progress=show_progress))
        print(f"\r{'':65}\rrun {run} took {time.monotonic() - started:.1f} s", file=sys.stderr)
    first, second = (figures(device) for device in devices)
    print(f"{devices[0].name}\n{'':18}{'first':>12}{'second':>12}{'ratio':>8}")
    for name in [*first, *(name for name in second if name not in first)]:
        one, unit = first.get(name, (float("nan"), ""))
        other, unit = second.get(name, (float("nan"), unit))
        print(f"{name:18}{one:12.1f}{other:12.1f}{other / one:8.3f}  {unit}")
    for run, device in enumerate(devices, start=1):
        print(f"{run}: {device.source}")


if __name__ == "__main__":
    main()
