"""What the operating system says about this machine and about who else uses it.

Nothing here imports jax. Where the system does not tell, the answer is None or empty, and the
caller decides what that means.

Linux's own files are read for what psutil does not know, which is caches, the limits of containers
and the governor, and for what py-cpuinfo takes a second to get wrong under a hypervisor: it gave an
EPYC's third cache 1 MiB where the kernel knows of 32.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CPU_INFO = Path("/proc/cpuinfo")
CPU_FOLDER = Path("/sys/devices/system/cpu")
MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
"""What a processor's time goes to; `user` holds guests, and on Windows `system` interrupts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """All caches of one level (``L1``, ``L2``, ``L3``) that the cores in use have.

    `size_bytes` is that of all of them together; there is one instance where all cores share it.
    """

    name: str
    size_bytes: int
    instances: int


def version(package: str) -> str:
    """Return the installed version of a package without importing it."""
    return importlib.metadata.version(package)


def usable_cores() -> tuple[int, ...]:
    """Return the numbers of the processors that this process may run on."""
    if hasattr(psutil.Process, "cpu_affinity"):  # macOS has none
        return tuple(psutil.Process().cpu_affinity())
    return tuple(range(os.cpu_count() or 1))


def processor(cpu_info: Path = CPU_INFO) -> str:
    """Name the processor, with family, model and stepping where the system gives them.

    A hypervisor often shortens the name to the brand, so that the name alone does not tell two
    generations apart.
    """
    lines = [line.partition(":") for line in (_read(cpu_info) or "").splitlines()]
    # Of each key, the first counts.
    entries = {key.strip(): value.strip() for key, colon, value in reversed(lines) if colon}
    name = entries.get("model name") or entries.get("Model") or _brand()
    details = [f"{key} {entries[key]}" for key in ("cpu family", "model", "stepping")
               if entries.get(key, "").isdigit()]  # fmt: skip
    name = " ".join((name or platform.machine() or "unknown processor").split())
    return f"{name} ({', '.join(details)})" if details else name


def caches(cores: tuple[int, ...], folder: Path = CPU_FOLDER) -> tuple[Cache, ...]:
    """Return the data caches of `cores`, fastest first; empty where the system does not tell."""
    found: dict[int, dict[str, int]] = {}
    for core in cores:
        for index in sorted((folder / f"cpu{core}" / "cache").glob("index*")):
            level, kind, size, shared = (
                _read(index / name) for name in ("level", "type", "size", "shared_cpu_list")
            )
            size_bytes = parse_size(size or "")
            if kind in ("Data", "Unified") and level and level.isdigit() and size_bytes:
                found.setdefault(int(level), {})[shared or str(core)] = size_bytes
    return tuple(
        Cache(name=f"L{level}", size_bytes=sum(sizes.values()), instances=len(sizes))
        for level, sizes in sorted(found.items())
    )


def parse_size(text: str) -> int | None:
    """Read a size as Linux writes it (``48K``); None where it is not one."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def memory_bytes(limits: tuple[Path, ...] = MEMORY_LIMITS) -> int:
    """Return the memory that this process may use: the machine's, or its container's if less."""
    sizes = [int(text) for path in limits if (text := _read(path) or "").isdigit()]
    return min(size for size in (*sizes, machine_memory_bytes()) if size > 0)


def machine_memory_bytes() -> int:
    """Return the memory of this machine, whatever part of it a container may use."""
    return int(psutil.virtual_memory().total)


def governor(folder: Path = CPU_FOLDER) -> str | None:
    """Name the frequency governor of the first processor; None where there is none to read."""
    return _read(folder / "cpu0" / "cpufreq" / "scaling_governor") or None


def load() -> float | None:
    """Return the load average of the last minute; None where the system has none.

    Windows has none; psutil's stand-in for it is 0 in every new process.
    """
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def busy_s(cores: tuple[int, ...]) -> float | None:
    """Return the time that `cores` were busy since the start of the machine, in core-seconds.

    Time that a hypervisor took away (steal) counts as busy. None where the system does not tell.
    """
    times = psutil.cpu_times(percpu=True)
    if len(times) != len(cores):
        # psutil lists the processors that are switched on, and does not say which they are.
        if "," in (_read(CPU_FOLDER / "online") or "") or max(cores) >= len(times):
            return None
        times = [times[core] for core in cores]
    return sum(getattr(time, kind, 0.0) for time in times for kind in _BUSY)


def clock_hz(cores: tuple[int, ...], folder: Path = CPU_FOLDER) -> float | None:
    """Return the highest clock rate that a core runs at now; None where the system does not tell.

    Cores at rest are slow, and say nothing of those that work.
    """
    texts = (_read(folder / f"cpu{core}" / "cpufreq" / "scaling_cur_freq") for core in cores)
    return max((1e3 * int(text) for text in texts if text and text.isdigit()), default=None)


@functools.cache
def _brand() -> str | None:
    """Return the processor's name where no text of Linux has it: macOS, Windows, some boards."""
    import cpuinfo  # starts processes, and is slow to import

    return cpuinfo.get_cpu_info().get("brand_raw") or platform.processor() or None


def _read(path: Path) -> str | None:
    """Read a small system file; None where it is absent or not ours to read."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


NOISY_OTHERS = 0.10
"""A measurement is noisy where others took more than this share of the cores' time."""

LEAST_WALL_S = 0.2
"""The system counts in ticks of 10 ms; a shorter time says nothing about shares."""


@dataclass(slots=True, kw_only=True)
class OtherProcesses:
    """Finds out what share of the cores' time went to others while the block ran.

    A second process slows a program down, but it may do so evenly, so that no spread of the
    samples shows it.

    Attributes:
        busy_s: Returns the time that the cores were busy, with what a hypervisor took.
        own_s: Returns the processor time of this process, all threads together.
        share: Once the block has ended, between 0 and 1; None where it is unknown.
    """

    cores: int = field(default_factory=lambda: len(usable_cores()))
    busy_s: Callable[[], float | None] = field(default=lambda: busy_s(usable_cores()))
    own_s: Callable[[], float] = time.process_time
    wall_s: Callable[[], float] = time.monotonic
    share: float | None = None
    _before: tuple[float | None, float, float] = (None, 0.0, 0.0)

    def __enter__(self) -> OtherProcesses:
        self.share = None
        self._before = self._now()
        return self

    def __exit__(self, *exception: object) -> None:
        self.share = self.lap()

    def lap(self) -> float | None:
        """Return the share since the block began, or since the last lap; None where unknown."""
        busy_before, own_before, wall_before = self._before
        self._before = busy, own, wall = self._now()
        passed = wall - wall_before
        if busy is None or busy_before is None or passed < LEAST_WALL_S:
            return None
        others_s = (busy - busy_before) - (own - own_before)
        return min(1.0, max(0.0, others_s / (passed * self.cores)))

    def _now(self) -> tuple[float | None, float, float]:
        return self.busy_s(), self.own_s(), self.wall_s()
