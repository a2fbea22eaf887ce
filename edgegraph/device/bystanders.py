"""What other processes, and other guests of the host, took of the cores meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from edgegraph.device import host

NOISY_OTHERS = 0.10
"""A measurement is noisy where others took more than this share of the cores' time."""

LEAST_WALL_S = 0.2
"""The system counts in ticks of 10 ms; a shorter time says nothing about shares."""


def _busy_s() -> float | None:
    return host.busy_s(host.usable_cores())


@dataclass(slots=True, kw_only=True)
class OtherProcesses:
    """Finds out what share of the cores' time went to others while the block ran.

    A second process slows a program down, but it may do so evenly, so that no spread of the
    samples shows it.

    Attributes:
        cores: How many cores count.
        busy_s: Returns the time that these were busy, with what a hypervisor took; None where the
            system does not tell.
        own_s: Returns the processor time of this process, all threads together.
        wall_s: Returns the time.
        share: Once the block has ended, between 0 and 1; None where it is unknown.
    """

    cores: int = field(default_factory=lambda: len(host.usable_cores()))
    busy_s: Callable[[], float | None] = _busy_s
    own_s: Callable[[], float] = time.process_time
    wall_s: Callable[[], float] = time.monotonic
    share: float | None = None
    _before: tuple[float | None, float, float] = (None, 0.0, 0.0)

    def __enter__(self) -> OtherProcesses:
        self.share = None
        self._before = self._now()
        return self

    def __exit__(self, *exception: object) -> None:
        busy_before, own_before, wall_before = self._before
        busy, own, wall = self._now()
        passed = wall - wall_before
        if busy is not None and busy_before is not None and passed >= LEAST_WALL_S:
            others_s = (busy - busy_before) - (own - own_before)
            self.share = min(1.0, max(0.0, others_s / (passed * self.cores)))

    def _now(self) -> tuple[float | None, float, float]:
        return self.busy_s(), self.own_s(), self.wall_s()
