"""Cut the ops of a group into its scopes so that the scopes can be drawn without a cycle."""

from __future__ import annotations

from collections.abc import Sequence

_CANDIDATES = 16
"""Only so many of a scope's latest parts are tried, so that many parts cost no more than few."""


def split(labels: Sequence[str | None], operands: Sequence[Sequence[int]]) -> list[int]:
    """Return for every op the number of its part.

    A scope is one part unless its ops lie before and after another's; then every op goes to
    the part that it reads from, or the latest, that closes no cycle, else to a new one. An op
    without a label is a part by itself.

    Args:
        labels: The scope of every op, operands before users.
        operands: Positions of the ops that every op reads.

    Returns:
        Part numbers, counted in the order in which the parts begin.

    Example:
        >>> split(["a", "b", "a"], [[], [0], []])
        [0, 1, 0]
        >>> split(["a", "b", "a"], [[], [0], [1]])
        [0, 1, 2]
    """
    return _Splitter().split(labels, operands)


class _Splitter:
    """Knows which parts lie before which, as sets of bits.

    Parts of a single op never grow, so what they read through stays as it was when they came;
    only parts with a label are followed.
    """

    def __init__(self) -> None:
        self._before: list[int] = []
        """By part with a label: the labelled parts with a way into it."""

    def split(self, labels: Sequence[str | None], operands: Sequence[Sequence[int]]) -> list[int]:
        parts: list[int] = []
        numbers: dict[int, int] = {}
        stays: dict[str, list[int]] = {}
        home: list[int | None] = []
        through: list[int] = []
        count = 0
        for label, read in zip(labels, operands, strict=True):
            inside, outside = 0, 0
            for operand in read:
                part = home[operand]
                if part is None:
                    outside |= through[operand]
                else:
                    inside |= 1 << part
            if label is None:
                home.append(None)
                through.append(inside | outside)
                parts.append(count)
                count += 1
                continue
            at = self._place(stays.setdefault(label, []), inside, outside)
            if at not in numbers:
                numbers[at] = count
                count += 1
            home.append(at)
            through.append(0)
            parts.append(numbers[at])
        return parts

    def _place(self, stays: list[int], inside: int, outside: int) -> int:
        """Choose the part for an op that reads from members of `inside` and from `outside`."""
        sources = list(_bits(inside | outside))
        candidates = sorted(stays[-_CANDIDATES:], key=lambda at: (inside >> at & 1, at))
        for at in reversed(candidates):
            if not outside >> at & 1 and not any(
                self._before[source] >> at & 1 for source in sources if source != at
            ):
                self._add(at, sources)
                return at
        at = len(self._before)
        self._before.append(0)
        stays.append(at)
        self._add(at, sources)
        return at

    def _add(self, at: int, sources: Sequence[int]) -> None:
        before = self._before[at]
        for source in sources:
            if source != at:
                before |= self._before[source] | 1 << source
        if before != self._before[at]:
            self._before[at] = before
            for after, known in enumerate(self._before):
                if known >> at & 1:
                    self._before[after] = known | before


def _bits(number: int) -> list[int]:
    found = []
    while number:
        lowest = number & -number
        found.append(lowest.bit_length() - 1)
        number ^= lowest
    return found
