"""A clock that moves only when a call moves it, so that no test waits or depends on the machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable


class FakeClock:
    """Returns `now`, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def call(self, durations_s: float | Iterable[float], *first_s: float) -> Callable[[], int]:
        """Return a call that returns how often it was called.

        Args:
            durations_s: How long the calls take, one after the other, or for ever.
            first_s: How long the calls before them take.
        """
        steady = itertools.repeat(durations_s) if isinstance(durations_s, float) else durations_s
        durations = itertools.chain(first_s, steady)
        count = itertools.count(1)

        def call() -> int:
            self.now += round(next(durations) * 1e9)
            return next(count)

        return call


def both(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], object]:
    """Return a call that makes two calls and returns what the second returns."""

    def call() -> object:
        first()
        return second()

    return call
