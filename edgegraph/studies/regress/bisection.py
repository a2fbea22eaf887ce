"""The first version that changed, found in few steps."""

from __future__ import annotations

from collections.abc import Callable

from edgegraph.studies.regress.result import Probe


def find_first(
    count: int, probe: Callable[[int], Probe]
) -> tuple[tuple[int, int] | None, tuple[Probe, ...]]:
    """Find which of some versions first differs from version 0.

    Args:
        count: How many versions there are, two at least.
        probe: Holds a version, by its number, against the first.

    Returns:
        The last version that is as the first and the first that is not; they are not neighbours
        where those between cannot be told. None where the last version does not differ, or that
        cannot be told. And the steps.

    Example:
        >>> def probe(at):
        ...     return Probe(version=str(at), changed=at >= 5, why="")
        >>> between, probes = find_first(8, probe)
        >>> between, [each.version for each in probes]
        ((4, 5), ['7', '3', '5', '4'])
    """
    probes = [probe(count - 1)]
    if not probes[0].changed:
        return None, tuple(probes)
    low, high = 0, count - 1
    unknown: set[int] = set()
    while middle := _middle(low, high, unknown):
        probes.append(probe(middle))
        changed = probes[-1].changed
        if changed is None:
            unknown.add(middle)
        elif changed:
            high = middle
        else:
            low = middle
    return (low, high), tuple(probes)


def _middle(low: int, high: int, unknown: set[int]) -> int | None:
    """Return the version nearest to the middle of those between of which nothing is known."""
    between = [each for each in range(low + 1, high) if each not in unknown]
    return min(between, key=lambda each: abs(2 * each - low - high), default=None)
