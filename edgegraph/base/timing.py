"""What timing needs: a clock, progress, the garbage collector and the allocator at rest."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector out of the block.

    Example:
        >>> with collector_paused():
        ...     gc.isenabled()
        False
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def bulk(function: Callable[P, R]) -> Callable[P, R]:
    """Pause the cyclic garbage collector while `function` runs.

    Making a hundred thousand objects that all stay alive makes the collector walk them again
    and again for nothing: a third of the time of a large module.
    """

    @wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> R:
        with collector_paused():
            return function(*args, **kwargs)

    return paused


Progress = Callable[[str, float | None], None]
"""Called with what is being done and how far it is (0 to 1, or None where that is unknown)."""


def no_progress(message: str, fraction: float | None) -> None:
    """Report nothing."""


Clock = Callable[[], int]
"""Returns the time in nanoseconds from an arbitrary start; never runs backwards."""

NANOSECONDS_PER_S = 1_000_000_000

monotonic_clock: Clock = time.perf_counter_ns
"""The finest clock that Python has."""


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Collect garbage now and not again before the block ends.

    A collection in the middle of a sample takes milliseconds that belong to no call.

    Example:
        >>> with garbage_collection_paused():
        ...     gc.isenabled()
        False
    """
    gc.collect()
    with collector_paused():
        yield


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
