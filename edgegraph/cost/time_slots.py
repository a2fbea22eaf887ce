"""Which of many slots are taken when."""

from __future__ import annotations


class TimeSlots:
    """Notes when numbered slots are taken, and finds those that are free throughout a span.

    A tree over time: every node holds the slots taken during all of its span, and those taken
    at some time in it, as the bits of an integer. Asking and noting take a logarithm of the time.

    Example:
        >>> slots = TimeSlots(8)
        >>> slots.take(0, 2, 5)
        >>> slots.take(1, 4, 4)
        >>> bin(slots.taken(0, 3)), bin(slots.taken(4, 7)), slots.taken(6, 7)
        ('0b1', '0b11', 0)
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
        ends = (low >> 1, (high - 1) >> 1)
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
        for node in ends:
            while node:
                sometime[node] |= bit
                node >>= 1

    def taken(self, first: int, last: int) -> int:
        """Return the slots that are taken at some time from `first` to `last`, as bits."""
        sometime, always = self._sometime, self._always
        low, high = first + self._leaves, last + self._leaves + 1
        ends = (low >> 1, (high - 1) >> 1)
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
        for node in ends:
            while node:
                taken |= always[node]
                node >>= 1
        return taken
