"""What timing needs: a clock, progress, the garbage collector and the allocator at rest."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused(*, collect: bool = False) -> Iterator[None]:
    """Keep the cyclic garbage collector out of the block.

    With `collect`, garbage is collected before: a collection in the middle of a sample takes
    milliseconds that belong to no call.
    """
    if collect:
        gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


bulk = collector_paused()
"""Decorates a function that makes very many objects which all stay alive: the collector would walk
them again and again for nothing, a third of the time of a large module."""

Progress = Callable[[str, float | None], None]
"""Called with what is being done and how far it is (0 to 1, or None where that is unknown)."""


def no_progress(message: str, fraction: float | None) -> None:
    """Report nothing."""


Clock = Callable[[], int]
"""Returns the time in nanoseconds from an arbitrary start; never runs backwards."""

NANOSECONDS_PER_S = 1_000_000_000

monotonic_clock: Clock = time.perf_counter_ns
"""The finest clock that Python has."""


_LARGEST_BYTES = (32 << 20) - (64 << 10)
"""Just below the size from which the C library of Linux (glibc) always asks the system again."""


def warm_malloc() -> None:
    """Bring every process that times to the same state, that after compiling.

    A fresh process asks the system for every large buffer and gives it back when it is freed, so
    that a program with temporary buffers faults their pages in again at every call: SmallCNN at
    batch 16 takes 1.7 instead of 0.65 ms. glibc stops doing so below the size of the largest block
    that was freed so far, up to 32 MiB; compilers free large ones. Other allocators are not
    affected.
    """
    block = bytearray(_LARGEST_BYTES)
    del block
