"""How many products a program needs, counted by hand while it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """Dots and convolutions of a part of a program.

    Attributes:
        macs: Multiply-accumulates of one call, of every conditional the most expensive branch.
        runs: How many products run how often in one call, of those that run at
            all; None where data decides.
    """

    macs: int = 0
    runs: Counter[int | None] = field(default_factory=Counter)

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.runs + other.runs)

    def in_loop(self, trips: int) -> Work:
        """Run this `trips` times."""
        if trips == 0:
            return NOTHING
        runs: Counter[int | None] = Counter()
        for times, count in self.runs.items():
            runs[None if times is None else times * trips] += count
        return Work(self.macs * trips, runs)

    def who_knows_how_often(self) -> Work:
        """Run this so often as data says, which counts once."""
        return Work(self.macs, Counter({None: self.runs.total()} if self.runs else {}))


NOTHING = Work()


def products(*macs: int) -> Work:
    """Return products of so many MACs, each run once."""
    return Work(sum(macs), Counter({1: len(macs)}))


def total(parts: Sequence[Work]) -> Work:
    """Run one after the other."""
    return sum(parts, NOTHING)


def most_expensive(branches: Sequence[Work]) -> Work:
    """Run one of them."""
    runs = total([branch.who_knows_how_often() for branch in branches]).runs
    return Work(max(branch.macs for branch in branches), runs)
