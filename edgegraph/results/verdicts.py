"""The words of verdicts, and the rules by which they are reached.

Two measured times differ where they lie apart by more than the noise of both, and by more than
1 %; nothing is said where one of the measurements is not sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot
from typing import Protocol

OK, NOISY, INVALID = "OK", "NOISY", "INVALID"
"""How sound a measurement is; what rests on one that is not OK is `NOISY`, too."""

SOUNDNESS = (OK, NOISY, INVALID)
"""The best first."""

NO_DIFFERENCE = "no difference"
ESTIMATED = "estimated"
"""Of times that were not measured: they differ as the estimates say."""

FASTER, SLOWER = "faster", "slower"
"""What comes after, against what was before."""

GAINED, COST = "gained", "cost"
"""Compiling layers together, against compiling each alone."""

HELPS, HURTS = "helps", "hurts"
"""Fusion, against the program without it."""

SMALLEST_CHANGE = 0.01
"""Differences below this share are none, however still the machine was."""

KNOWN_TO = 0.05
"""A figure whose 95 % confidence interval reaches further than this share of it is not sound."""

FAR_UNDER = 0.25
"""Share of a roof that is far under it, so that the roof does not explain the time: well-written
kernels of simple ops reach half of one and more."""

Interval = tuple[float, float]


class Timed(Protocol):
    """A measured time."""

    @property
    def median_s(self) -> float:
        """Median of its samples."""

    @property
    def uncertainty(self) -> float:
        """Half of the median's 95 % confidence interval, over the median."""


def worst(verdicts: Iterable[str]) -> str:
    """Return the verdict of the least sound measurement; of none at all OK."""
    return max(verdicts, key=SOUNDNESS.index, default=OK)


def noise(timed: Iterable[tuple[Timed, int]]) -> float:
    """Return how far the sum of some times may be off: their uncertainties, added in squares.

    What disturbs one measurement does not disturb the others. Each comes with how often it counts;
    where several layers share one, it adds up linearly.
    """
    counts: dict[Timed, int] = {}
    for each, times in timed:
        counts[each] = counts.get(each, 0) + times
    return hypot(*(times * each.uncertainty * each.median_s for each, times in counts.items()))


def verdict_of(
    before_s: float,
    after_s: float,
    noise_s: float,
    *,
    sound: bool,
    words: tuple[str, str] = (FASTER, SLOWER),
) -> str:
    """Say whether a time differs by more than its noise, or by 1 % if that is more.

    `words` are what to call less time, and more. Measurements that are not sound carry no verdict.
    """
    if not sound:
        return NOISY
    if abs(after_s - before_s) <= max(noise_s, SMALLEST_CHANGE * before_s):
        return NO_DIFFERENCE
    return words[0] if after_s < before_s else words[1]


def verdict_of_intervals(
    before: float,
    before_interval: Interval,
    after_interval: Interval,
    *,
    words: tuple[str, str] = (FASTER, SLOWER),
) -> str:
    """Say whether two confidence intervals lie apart, and the later 1 % from the earlier value.

    `words` are what to call less, and more.
    """
    low, high = after_interval
    if high < min(before / (1 + SMALLEST_CHANGE), before_interval[0]):
        return words[0]
    if low > max(before * (1 + SMALLEST_CHANGE), before_interval[1]):
        return words[1]
    return NO_DIFFERENCE
