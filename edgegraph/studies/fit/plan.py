"""Which way to run every layer: an integer program over the distinct layers of a loss.

All that is kept is alive where the forward pass ends, with what the layer works with whose
backward pass runs: the sum of all kept bytes and the largest of the working bytes must not be more
than there is. Among the choices within that, the one that computes least again is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from edgegraph.studies.fit.options import Option

_GAP = 1e-4
"""How far, as a share of the time, what is found may be from the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How every layer runs, by its place, and what it comes to together."""

    options: tuple[int, ...]
    kept_bytes: int
    working_bytes: int
    time_s: float

    @property
    def bytes(self) -> int:
        """What is kept, and what the most demanding layer works with."""
        return self.kept_bytes + self.working_bytes


def choose(
    groups: Sequence[int], options: Sequence[Sequence[Option]], budget_bytes: float
) -> Choice | None:
    """Choose the options of least time within a budget; None where none keeps to it.

    Args:
        groups: For every layer, in order of execution, which distinct layer it is.
        options: Of every distinct layer.
        budget_bytes: For what is kept and worked with.
    """
    counts = [groups.count(group) for group in range(len(options))]
    columns = [(group, number) for group, each in enumerate(options) for number in range(len(each))]
    found = _solve(counts, columns, options, budget_bytes)
    if found is None:
        return None
    left = dict(zip(columns, found, strict=True))
    chosen: list[int] = []
    for group in groups:
        # The first layers keep least: the last ones' backward passes come first and free theirs.
        order = sorted(range(len(options[group])), key=lambda n: options[group][n].kept_bytes)
        number = next(n for n in order if left[group, n] > 0)
        left[group, number] -= 1
        chosen.append(number)
    return total(groups, options, chosen)


def total(
    groups: Sequence[int], options: Sequence[Sequence[Option]], chosen: Sequence[int]
) -> Choice:
    """Add up a choice."""
    each = [options[group][number] for group, number in zip(groups, chosen, strict=True)]
    return Choice(
        options=tuple(chosen),
        kept_bytes=sum(option.kept_bytes for option in each),
        working_bytes=max((option.working_bytes for option in each), default=0),
        time_s=sum(option.time_s for option in each),
    )


def _solve(
    counts: Sequence[int],
    columns: Sequence[tuple[int, int]],
    options: Sequence[Sequence[Option]],
    budget_bytes: float,
) -> list[int] | None:
    """Return how many layers of each distinct one run each way.

    The unknowns are these numbers, whether each is more than 0, and the working bytes.
    """
    size = len(columns)
    scale = max(1.0, float(budget_bytes))
    each = [options[group][number] for group, number in columns]
    working = np.array([option.working_bytes / scale for option in each])
    rows, low, high = [], [], []

    def add(row: dict[int, float], lower: float, upper: float) -> None:
        filled = np.zeros(2 * size + 1)
        for at, value in row.items():
            filled[at] = value
        rows.append(filled)
        low.append(lower)
        high.append(upper)

    for group, count in enumerate(counts):
        add({at: 1.0 for at, (of, _) in enumerate(columns) if of == group}, count, count)
    for at, (group, _) in enumerate(columns):
        add({at: 1.0, size + at: -float(counts[group])}, -np.inf, 0.0)
        add({size + at: working[at], 2 * size: -1.0}, -np.inf, 0.0)
    kept = {at: option.kept_bytes / scale for at, option in enumerate(each)}
    add({**kept, 2 * size: 1.0}, 0.0, budget_bytes / scale)
    largest = max((option.time_s for option in each), default=0.0) or 1.0
    answer = milp(
        np.array([*(option.time_s / largest for option in each), *[0.0] * (size + 1)]),
        constraints=LinearConstraint(np.array(rows), np.array(low), np.array(high)),
        integrality=np.array([1] * (2 * size) + [0]),
        bounds=Bounds(0.0, np.array(
            [*(float(counts[group]) for group, _ in columns), *[1.0] * size, np.inf]
        )),
        options={"mip_rel_gap": _GAP, "time_limit": 20.0},
    )  # fmt: skip
    return None if answer.x is None else [round(value) for value in answer.x[:size]]
