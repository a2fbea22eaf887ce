"""The clock that everything is timed with, and quiet around it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgegraph.bulk import collector_paused

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
