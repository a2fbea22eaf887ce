"""Times of two analyses, held against their noise."""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot

from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.diff import ESTIMATED, FASTER, NO_DIFFERENCE, NOISY, SLOWER
from edgegraph.results.latency import Latency, finest_cut

SMALLEST_CHANGE = 0.01
"""Differences below this share are none, however still the machine was."""

_OWN = "/(own)"


def noise_of(latencies: Iterable[tuple[Latency, int]]) -> float:
    """Return how far the sum of some times may be off: their interquartile ranges, in squares.

    Args:
        latencies: Every measurement of one run, and how often it counts. Layers that share one
            add up linearly.
    """
    counts: dict[Latency, int] = {}
    for latency, times in latencies:
        counts[latency] = counts.get(latency, 0) + times
    return hypot(*(times * each.relative_iqr * each.median_s for each, times in counts.items()))


def verdict_of(before_s: float, after_s: float, noise_s: float, *, sound: bool) -> str:
    """Return whether a time differs by more than its noise, or by 1 % if that is more.

    Example:
        >>> verdict_of(1.0, 1.2, 0.1, sound=True), verdict_of(1.0, 1.05, 0.1, sound=True)
        ('slower', 'no difference')
    """
    if not sound:
        return NOISY
    if abs(after_s - before_s) <= max(noise_s, SMALLEST_CHANGE * before_s):
        return NO_DIFFERENCE
    return SLOWER if after_s > before_s else FASTER


def compare_latencies(before: Latency | None, after: Latency | None) -> tuple[float, str] | None:
    """Return the noise of a difference and the verdict; None where one was not measured."""
    if before is None or after is None:
        return None
    noise_s = hypot(noise_of([(before, 1)]), noise_of([(after, 1)]))
    sound = before.verdict == after.verdict == "OK"
    return noise_s, verdict_of(before.median_s, after.median_s, noise_s, sound=sound)


class LayerTimes:
    """Compares the times of layers of two analyses."""

    def __init__(self, before: Analysis, after: Analysis) -> None:
        """Remember how every layer was timed."""
        self._timed = [
            [
                (each.layer, each.phase, each.latency, each.executions)
                for each in finest_cut(analysis.layer_latencies)
            ]
            for analysis in (before, after)
        ]
        self._same_device = before.device == after.device and before.device is not None

    def compare(
        self, before: LayerRecord | None, after: LayerRecord | None
    ) -> tuple[float | None, str | None]:
        """Return the noise of the difference and the verdict, None where there is none."""
        if before is None or after is None or before.time_s is None or after.time_s is None:
            return None, None
        if before.time_source != after.time_source:
            return None, None
        if before.time_source != "measured":
            return None, ESTIMATED if self._same_device else None
        timed = self._of(0, before), self._of(1, after)
        if not all(timed):
            return None, None
        noise_s = hypot(*map(noise_of, timed))
        sound = all(latency.verdict == "OK" for side in timed for latency, _ in side)
        return noise_s, verdict_of(before.time_s, after.time_s, noise_s, sound=sound)

    def _of(self, side: int, row: LayerRecord) -> list[tuple[Latency, int]]:
        """Return what was measured of a layer, with all below it unless the row is its own part."""
        scope = row.layer.removesuffix(_OWN)
        return [
            (latency, executions)
            for layer, phase, latency, executions in self._timed[side]
            if phase == row.phase
            and (layer == scope or (not row.layer.endswith(_OWN) and layer.startswith(f"{scope}/")))
        ]
