"""What the operating system says about this machine: processor, cores, caches, memory.

Nothing here imports jax. Where the system does not tell, the answer is None or empty, and the
caller decides what that means.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
CPU_STATISTICS = Path("/proc/stat")
CPU_FOLDER = Path("/sys/devices/system/cpu")
MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """All caches of one level that the cores in use have.

    Attributes:
        name: ``L1``, ``L2``, ``L3``.
        size_bytes: Of all of them together.
        instances: How many there are; 1 where all cores share one.
    """

    name: str
    size_bytes: int
    instances: int


def version(package: str) -> str:
    """Return the installed version of a package without importing it.

    Example:
        >>> version("numpy").split(".")[0].isdigit()
        True
    """
    return importlib.metadata.version(package)


def usable_cores() -> tuple[int, ...]:
    """Return the numbers of the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def processor(cpu_info: Path = CPU_INFO) -> str:
    """Name the processor, with family, model and stepping where the system gives them.

    A hypervisor often shortens the name to the brand, so that the name alone does not tell two
    generations apart.
    """
    entries = _first_entries(_read(cpu_info) or "")
    name = entries.get("model name") or entries.get("Model") or platform.processor()
    details = [f"{key} {entries[key]}" for key in ("cpu family", "model", "stepping")
               if entries.get(key, "").isdigit()]  # fmt: skip
    name = " ".join((name or platform.machine() or "unknown processor").split())
    return f"{name} ({', '.join(details)})" if details else name


def caches(cores: tuple[int, ...], folder: Path = CPU_FOLDER) -> tuple[Cache, ...]:
    """Return the data caches of `cores`, fastest first; empty where the system does not tell.

    Args:
        cores: Processor numbers, as `usable_cores` returns them.
        folder: Where Linux keeps what it knows of processors.
    """
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
    """Read a size as Linux writes it; None where it is not one.

    Example:
        >>> parse_size("48K"), parse_size("32M"), parse_size("")
        (49152, 33554432, None)
    """
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def memory_bytes(limits: tuple[Path, ...] = MEMORY_LIMITS) -> int | None:
    """Return the memory that this process may use: the machine's, or its container's if less."""
    sizes = [int(text) for path in limits if (text := _read(path) or "").isdigit()]
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(os.sysconf_names):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min((size for size in sizes if size > 0), default=None)


def governor(folder: Path = CPU_FOLDER) -> str | None:
    """Name the frequency governor of the first processor; None where there is none to read."""
    return _read(folder / "cpu0" / "cpufreq" / "scaling_governor") or None


def load() -> float | None:
    """Return the load average of the last minute; None where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def busy_s(cores: tuple[int, ...], statistics: Path = CPU_STATISTICS) -> float | None:
    """Return the time that `cores` were busy since the start of the machine, in core-seconds.

    Time that a hypervisor took away (steal) counts as busy. None where the system does not tell.
    """
    wanted = {f"cpu{core}" for core in cores}
    ticks = 0
    seen = 0
    for line in (_read(statistics) or "").splitlines():
        name, *fields = line.split()
        if name in wanted:
            user, nice, system, _idle, _wait, *interrupts_and_steal = map(int, fields)
            ticks += user + nice + system + sum(interrupts_and_steal[:3])
            seen += 1
    return ticks / os.sysconf("SC_CLK_TCK") if seen == len(wanted) else None


def _first_entries(text: str) -> dict[str, str]:
    """Return the ``key : value`` lines of cpuinfo, the first of each key."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            entries.setdefault(key.strip(), value.strip())
    return entries


def _read(path: Path) -> str | None:
    """Read a small system file; None where it is absent or not ours to read."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
