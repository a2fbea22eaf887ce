"""A clock that moves only when a call moves it, so that no test waits or depends on the machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from edgegraph.base.timing import Progress
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds, summarise
from edgegraph.results.timing import Latency


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


def measure_latency(
    call: Callable[[], object],
    *,
    clock: FakeClock,
    settings: MeasurementSettings | None = None,
    null_call: Callable[[], object] | None = None,
    after: Callable[[object], None] | None = None,
    progress: Progress | None = None,
) -> Latency:
    """Time a call, in turns with one that launches nothing."""
    settings = settings or MeasurementSettings()
    main = Series(call=call, after=after, clock=clock)
    floor = None if null_call is None else Series(call=null_call, clock=clock)
    every = [main] if floor is None else [main, floor]
    sampling = sample_in_rounds(every, settings, clock, progress=progress)
    return summarise(main, sampling, floor=floor)
