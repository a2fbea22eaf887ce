"""Calibrates a board on which JAX is not installed: this file and numpy are enough.

    python3 calibrate_board.py board.json

Copy the file back: `edgegraph analyze SPEC --target device:board.json` takes it as a device. It
stands alone, and imports nothing of EdgeGraph; Python 3.8 reads it. What it measures is what numpy
and the BLAS library under it reach, with as many threads as that takes; element by element numpy
uses one. Kinds of kernels that numpy has not, convolutions among them, are expected to come as near
to this board's peak as they come to that of the machine that reads the file.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

FORMAT_VERSION = 1
"""Of the file, as EdgeGraph reads it (`edgegraph.device.calibration.saved`)."""

PRODUCTS = (
    (1, 512, 512), (1, 2048, 2048), (1, 4096, 4096), (8, 512, 512), (32, 512, 512),
    (128, 512, 512), (256, 2048, 512), (512, 512, 512), (1024, 1024, 1024), (4096, 256, 64),
)  # fmt: skip
"""Rows, columns and depth."""

BYTES = (1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24, 1 << 26)
"""What kernels read and write together."""

BUDGET_S = 0.3
"""For one kernel; its best call counts."""


def best_s(run: Callable[[], object], budget_s: float | None = None) -> float:
    """Return the time of the quickest call, of two at least."""
    run()
    best, end = float("inf"), time.perf_counter() + (BUDGET_S if budget_s is None else budget_s)
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def rate(kind: str, sizes: tuple[int, int, int], work: float, took_s: float) -> dict[str, Any]:
    """Return one row of the table of kernels."""
    rows, columns, depth = sizes
    return {
        "kind": kind, "dtype": "f32", "rows": rows, "columns": columns, "depth": depth,
        "rate_per_s": work / took_s,
    }  # fmt: skip


def products() -> list[dict[str, Any]]:
    """Time matrix products, in FLOP/s."""
    found = []
    for sizes in PRODUCTS:
        rows, columns, depth = sizes
        left, right = (np.ones(shape, np.float32) for shape in ((rows, depth), (depth, columns)))
        out = np.empty((rows, columns), np.float32)
        took_s = best_s(partial(np.matmul, left, right, out=out))
        found.append(rate("dot", sizes, 2.0 * rows * columns * depth, took_s))
    return found


def moves() -> list[dict[str, Any]]:
    """Time what moves data, in bytes/s."""
    found = []
    for total in BYTES:
        side = int((total / 8) ** 0.5)
        values = np.ones((side, side), np.float32)
        out, long = np.empty_like(values), np.ones(total // 4, np.float32)
        runs: dict[str, Callable[[], object]] = {
            "elementwise": partial(np.add, values, 1.0, out=out),
            "copy": partial(np.copyto, out, values.T),
            "reduction": long.sum,
        }
        for kind, run in runs.items():
            moved = long.nbytes if kind == "reduction" else 2 * values.nbytes
            found.append(rate(kind, (moved, 1, 1), float(moved), best_s(run)))
    return found


def memory(table: list[dict[str, Any]], cache: int) -> list[dict[str, Any]]:
    """Return the memory levels, by the best rates of what fits a cache and of what does not."""
    rates = [(each["rows"], each["rate_per_s"]) for each in table if each["kind"] != "dot"]
    # A product of one row reads its weights once.
    rates += [
        (4 * each["columns"] * each["depth"], each["rate_per_s"] * 2.0)
        for each in table
        if each["kind"] == "dot" and each["rows"] == 1
    ]
    beyond = [speed for size, speed in rates if size > 2 * cache]
    main = max(beyond or [speed for _, speed in rates])
    levels = [{"name": "DRAM", "size_bytes": None, "bandwidth_bytes_per_s": main}]
    within = max([speed for size, speed in rates if size <= cache], default=0.0)
    if cache and within > main:
        level = {"name": "cache", "size_bytes": cache, "bandwidth_bytes_per_s": within}
        levels.insert(0, level)
    return levels


def cache_bytes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Return the size of the largest data cache; 0 where the system does not tell."""
    units, found = {"K": 1 << 10, "M": 1 << 20}, [0]
    for size in folder.glob("index*/size"):
        text = size.read_text().strip()
        found.append(int(text.rstrip("KM") or 0) * units.get(text[-1:], 1))
    return max(found)


def name() -> str:
    """Name the board, else its processor."""
    model = Path("/proc/device-tree/model")
    if model.exists():
        return model.read_text().strip("\0\n ")
    return platform.processor() or platform.machine() or "board"


def calibrate() -> dict[str, Any]:
    """Measure this board; about ten seconds."""
    table = products() + moves()
    peak = max(each["rate_per_s"] for each in table if each["kind"] == "dot")
    capacity = None
    if hasattr(os, "sysconf"):
        capacity = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "name": name(),
        "peak_flops_per_s": {"f32": peak},
        "memory": memory(table, cache_bytes()),
        "origin": "calibrated",
        "source": f"measured on the board with numpy {np.__version__}: its quickest calls",
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017 (Python 3.8)
        "kernel_rates": table,
        "capacity_bytes": capacity,
    }


def main(arguments: list[str]) -> int:
    """Write the calibration to the file that is named."""
    if len(arguments) != 1:
        print("usage: python3 calibrate_board.py board.json", file=sys.stderr)
        return 2
    device = calibrate()
    Path(arguments[0]).write_text(json.dumps({"format": FORMAT_VERSION, "device": device}))
    peak = device["peak_flops_per_s"]["f32"] / 1e9
    bandwidth = device["memory"][-1]["bandwidth_bytes_per_s"] / 1e9
    print(f"{device['name']}: f32 {peak:.3g} GFLOP/s, memory {bandwidth:.3g} GB/s")
    print(f"written to {arguments[0]}; analyze with --target device:{arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
