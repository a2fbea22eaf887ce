"""From bandwidth over working set to memory levels.

The way of the Empirical Roofline Toolkit: sweep the working set, and read a level's bandwidth
where the working set fits into it and no longer into the level above.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgegraph.device.device import MemoryLevel
from edgegraph.device.host import Cache

KIB = 1024
MIB = 1024 * KIB
MAIN_MEMORY = "DRAM"

STREAM_FACTOR = 4
"""STREAM asks for arrays of at least four times the last-level cache."""

MAIN_MEMORY_FACTOR = 6
"""Sampled size over the last-level cache; at four times, replacement still keeps some lines."""

_SMALLEST = 16 * KIB
_LARGEST_UNGUIDED = 256 * MIB
_STEP_DOWN = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One sample of the curve: the best bandwidth seen, reads and writes together."""

    working_set_bytes: int
    bytes_per_s: float


def working_sets(caches: Sequence[Cache], memory_bytes: int | None) -> dict[str, tuple[int, ...]]:
    """Choose the working sets to sample, by memory level; the caches come fastest first.

    A cache is sampled from just above the level before it up to half of its own size, where
    little else evicts its lines; a cache without such a range is left out. Main memory is sampled
    at six times the last cache, or at less if that were over a sixteenth of the memory.
    """
    sets: dict[str, tuple[int, ...]] = {}
    above = 0
    for cache in caches:
        half = cache.size_bytes // 2
        start = above + above // 4 or half // 2
        if start < half:
            middle = round((start * half) ** 0.5)
            sets[cache.name] = (start, middle, half) if above else (start, half)
            above = cache.size_bytes
    last = caches[-1].size_bytes if caches else MIB
    size = last * MAIN_MEMORY_FACTOR
    if memory_bytes is not None:
        size = max(min(size, memory_bytes // 16), last + last // 4)
    sets[MAIN_MEMORY] = (size,)
    return sets


def unguided_working_sets(memory_bytes: int | None) -> tuple[int, ...]:
    """Choose the working sets to sample where the system does not tell its caches."""
    largest = _LARGEST_UNGUIDED
    if memory_bytes is not None:
        largest = min(largest, max(memory_bytes // 16, 16 * _SMALLEST))
    return tuple(_SMALLEST << doublings for doublings in range((largest // _SMALLEST).bit_length()))


def levels_from_curve(points: Iterable[Point], caches: Sequence[Cache]) -> tuple[MemoryLevel, ...]:
    """Read the bandwidth of every memory level off the curve; main memory comes last.

    A level gets the best rate among the working sets that fit in half of it and not in the level
    above. A level without points of its own is left out, and the next one covers its range. A
    larger level is never faster than a smaller one: what a larger working set reaches, a smaller
    one can. A ValueError says that no point lies beyond the last cache.
    """
    curve = sorted(points, key=lambda point: point.working_set_bytes)
    last = caches[-1].size_bytes if caches else 0
    beyond = [point for point in curve if point.working_set_bytes > last]
    if not beyond:
        raise ValueError(f"no working set beyond the last cache of {last} bytes was sampled")
    main = [p for p in beyond if p.working_set_bytes >= STREAM_FACTOR * last] or beyond[-1:]
    found: list[tuple[str, int | None, list[Point]]] = []
    above = 0
    for cache in caches:
        own = [p for p in curve if above < p.working_set_bytes <= cache.size_bytes // 2]
        if own:
            found.append((cache.name, cache.size_bytes, own))
            above = cache.size_bytes
    found.append((MAIN_MEMORY, None, main))
    levels: list[MemoryLevel] = []
    fastest = 0.0
    for name, size_bytes, own in reversed(found):
        fastest = max(fastest, *(point.bytes_per_s for point in own))
        level = MemoryLevel(name=name, size_bytes=size_bytes, bandwidth_bytes_per_s=fastest)
        levels.append(level)
    return tuple(reversed(levels))


def caches_from_curve(points: Iterable[Point]) -> tuple[Cache, ...]:
    """Find the caches as the plateaus of the curve, where the system does not tell them.

    A plateau ends where the rate falls below 70 % of its best; the last working set before the
    fall is the size of the cache. The points of a fall itself belong to no plateau.
    """
    plateaus = _envelope(points)
    sizes: list[int] = []
    falling = False
    best = 0.0
    for before, point in pairwise(plateaus):
        best = max(best, before.bytes_per_s)
        falls = point.bytes_per_s < _STEP_DOWN * best
        if falls and not falling:
            sizes.append(before.working_set_bytes)
        if falls:
            best = point.bytes_per_s
        falling = falls
    return tuple(
        Cache(name=f"L{level}", size_bytes=size, instances=1)
        for level, size in enumerate(sizes, start=1)
    )


def _envelope(points: Iterable[Point]) -> list[Point]:
    """Return the best rate at every working set; what a larger one reaches, a smaller one can."""
    rates: dict[int, float] = {}
    for point in sorted(points, key=lambda point: -point.working_set_bytes):
        reached = max(rates.values(), default=0.0)
        size = point.working_set_bytes
        rates[size] = max(reached, rates.get(size, 0.0), point.bytes_per_s)
    return [Point(working_set_bytes=size, bytes_per_s=rate) for size, rate in sorted(rates.items())]
