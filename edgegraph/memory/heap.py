"""Where XLA lays buffers in the memory that it sets aside for temporaries.

Every buffer is laid, the largest (or longest-lived) first, into the tightest gap that is free
for as long as it is alive. XLA tries both orders and keeps the smaller heap.

Source: openxla/xla, ``GlobalDecreasingSizeBestFitHeap``, ``ChooseBestHeapAlgorithm``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct


class TimeSlots:
    """Notes when numbered slots are taken, and finds those that are free throughout a span.

    A tree over time: every node holds the slots taken during all of its span, and those taken
    at some time in it, as the bits of an integer. Asking and noting take a logarithm of the time.
    """

    def __init__(self, duration: int) -> None:
        self._leaves = 1 << max(duration - 1, 0).bit_length()
        self._sometime = [0] * (2 * self._leaves)
        self._always = [0] * (2 * self._leaves)

    def take(self, slot: int, first: int, last: int) -> None:
        """Take a slot from `first` to `last`, both included."""
        bit = 1 << slot
        sometime, always = self._sometime, self._always
        low, high = first + self._leaves, last + self._leaves + 1
        left, right = low >> 1, (high - 1) >> 1
        while low < high:
            if low & 1:
                sometime[low] |= bit
                always[low] |= bit
                low += 1
            if high & 1:
                high -= 1
                sometime[high] |= bit
                always[high] |= bit
            low >>= 1
            high >>= 1
        while left:
            sometime[left] |= bit
            if right != left:
                sometime[right] |= bit
            left >>= 1
            right >>= 1

    def taken(self, first: int, last: int) -> int:
        """Return the slots that are taken at some time from `first` to `last`, as bits."""
        sometime, always = self._sometime, self._always
        low, high = first + self._leaves, last + self._leaves + 1
        left, right = low >> 1, (high - 1) >> 1
        taken = 0
        while low < high:
            if low & 1:
                taken |= sometime[low]
                low += 1
            if high & 1:
                high -= 1
                taken |= sometime[high]
            low >>= 1
            high >>= 1
        while left:
            taken |= always[left]
            if right != left:
                taken |= always[right]
            left >>= 1
            right >>= 1
        return taken


ALIGNMENT_BYTES = 64
"""At what multiples XLA's CPU backend lays buffers."""

_FAR = np.iinfo(np.int64).max


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """A buffer that is needed in the `spans` of its values; ties go to the lowest `rank`."""

    size_bytes: int
    spans: tuple[tuple[int, int], ...]
    rank: int


def heap_bytes(requests: Sequence[Request]) -> int:
    """Compute how much memory XLA sets aside for buffers."""
    least = _least_bytes(requests)
    best: int | None = None
    for order in _ORDERS:
        height = _lay(sorted(requests, key=order))
        best = height if best is None else min(best, height)
        if best <= least:
            break
    return best or 0


_ORDERS: tuple[Callable[[Request], tuple[int, ...]], ...] = (
    lambda one: (-one.size_bytes, one.spans[0][0] - one.spans[0][1], one.rank),
    lambda one: (one.spans[0][0] - max(end for _, end in one.spans), -one.size_bytes, one.rank),
)
"""The largest first, then that whose first value is needed longest; or the longest needed first,
gaps included."""


def _least_bytes(requests: Sequence[Request]) -> int:
    """Return what is needed at once, below which no heap can be."""
    changes: dict[int, int] = {}
    for request in requests:
        for start, end in request.spans:
            changes[start] = changes.get(start, 0) + request.size_bytes
            changes[end + 1] = changes.get(end + 1, 0) - request.size_bytes
    height = least = 0
    for time in sorted(changes):
        height += changes[time]
        least = max(least, height)
    return least


def _lay(requests: Sequence[Request]) -> int:
    """Lay buffers in this order and return the height of the heap."""
    heap = _Heap(sum(len(request.spans) for request in requests))
    height = 0
    for request in requests:
        if request.size_bytes:
            offset = heap.tightest_gap(request)
            heap.add(request, offset)
            height = max(height, offset + request.size_bytes)
    return height


class _Heap:
    """The spans of the buffers that have their place, by offset."""

    def __init__(self, capacity: int) -> None:
        self._count = 0
        self._offsets, self._tops, self._starts, self._ends = (
            np.empty(capacity, np.int64) for _ in range(4)
        )

    def tightest_gap(self, request: Request) -> int:
        """Find the smallest gap that is large enough, the lowest of equals."""
        count = self._count
        starts, ends = self._starts[:count], self._ends[:count]
        (first, last), *others = request.spans
        taken = (starts <= last) & (ends >= first)
        for first, last in others:
            taken |= (starts <= last) & (ends >= first)
        offsets = self._offsets[:count][taken]
        if not len(offsets):
            return 0
        tops: npt.NDArray[np.int64] = np.maximum.accumulate(self._tops[:count][taken])
        gap_starts = np.concatenate(([0], _align(tops[:-1])))
        gaps = offsets - gap_starts
        gaps[gaps < request.size_bytes] = _FAR
        best = int(np.argmin(gaps))
        if gaps[best] == _FAR:
            return int(_align(tops[-1:])[0])
        return int(gap_starts[best])

    def add(self, request: Request, offset: int) -> None:
        """Note where a buffer was laid."""
        count, new = self._count, len(request.spans)
        at = int(np.searchsorted(self._offsets[:count], offset))
        rows = np.array(request.spans, np.int64)
        for column, values in (
            (self._offsets, offset),
            (self._tops, offset + request.size_bytes),
            (self._starts, rows[:, 0]),
            (self._ends, rows[:, 1]),
        ):
            column[at + new : count + new] = column[at:count]
            column[at : at + new] = values
        self._count += new


def _align(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return -(-offsets // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
