"""What timing needs: a clock, progress, the garbage collector and the allocator at rest."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from edgegraph.errors import EdgeGraphError, InputError


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


class _TimeIsUp(BaseException):
    """No handler of ordinary errors may swallow it."""


_AGAIN_S = 1.0
"""Code that swallows even that is told again after so long."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End what runs in the block after that long, by the clock on the wall; None for no limit.

    Python code is ended wherever it is, also where it waits; what a library does in one call, such
    as XLA's compiler, ends first.

    Raises:
        EdgeGraphError: It took longer.
        InputError: The system has no alarms, or this is not the main thread, which gets them.
    """
    if seconds is None:
        yield
        return
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        raise InputError(
            "a time limit holds in the main thread of Linux and macOS only; leave it out"
        )

    def ring(number: int, frame: FrameType | None) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
    try:
        yield
    except _TimeIsUp as error:
        raise EdgeGraphError(f"it took longer than {seconds:g} s, the time limit") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
