"""Which batch size to choose: where throughput stops growing, and what fits a latency budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgegraph.base.units import percent, seconds, si
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.studies.sweep.result import SweepPoint

KNEE_MARGIN = 0.05
"""Throughput that is this close to the best has stopped growing."""

FEWEST_POINTS = 3
"""Batch sizes without which there is no knee to speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A batch size that answers a question, or why none does.

    Attributes:
        dtype, options: The curve that it was chosen on.
        batch: The batch size; None if there is none, or the measurement is too noisy to say.
        latency_s: Its median latency.
        throughput_per_s: Its throughput in samples per second.
        reason: One line: the choice with its numbers, or why there is none.
    """

    dtype: str | None
    options: str
    batch: int | None
    latency_s: float | None = None
    throughput_per_s: float | None = None
    reason: str

    @property
    def label(self) -> str:
        """Name the curve."""
        return curve_name(self.dtype, self.options)


def curve_name(dtype: str | None, options: str) -> str:
    """Name a curve by what tells it from others: ``bfloat16``, ``float32, unfused``."""
    if dtype is None:
        return options
    return dtype if options == "default" else f"{dtype}, {options}"


def find_knee(points: Sequence[SweepPoint]) -> Choice:
    """Find the batch size from which throughput no longer grows.

    The knee is the smallest batch whose throughput is within 5 % of the best of the curve, or
    within the best one's own uncertainty (half of its 95 % interval)
    where that is more. It is a threshold on the saturated rate, as Hockney's n_1/2 is, which
    asks for one half (Hockney and Jesshope, "Parallel Computers", 1981). There is none

    - if only the largest batch is that good: throughput still grows;
    - if the verdict on the best throughput, on the knee's, or on that of the batch below the
      knee is not OK: the noise could move it;
    - with fewer than three measured batch sizes.
    """
    measured = sorted(
        (point for point in points if point.throughput_per_s is not None),
        key=lambda point: point.batch,
    )
    if len(measured) < FEWEST_POINTS:
        count = "1 batch size was" if len(measured) == 1 else f"{len(measured)} batch sizes were"
        return _none(points, f"{count} measured, a knee needs three")
    best = max(measured, key=_rate)
    assert best.throughput is not None
    margin = max(KNEE_MARGIN, best.throughput.uncertainty)
    position = next(
        at for at, point in enumerate(measured) if _rate(point) >= (1 - margin) * _rate(best)
    )
    knee = measured[position]
    for point in (best, knee, *measured[max(0, position - 1) : position]):
        assert point.throughput is not None
        if point.throughput.verdict != OK:
            return _none(
                points,
                f"not said, since the throughput at batch {point.batch} is"
                f" {point.throughput.verdict}",
            )
    if position == len(measured) - 1:
        return _none(
            points, f"throughput still grows at batch {knee.batch}, the largest; sweep further"
        )
    if knee is best:
        reason = f"batch {knee.batch} has the best throughput, {si(_rate(best))}/s"
    else:
        reason = (
            f"batch {knee.batch} is the smallest within {percent(margin)} of the best throughput,"
            f" {si(_rate(best))}/s at batch {best.batch}"
        )
    return _chosen(knee, reason)


def within_budget(points: Sequence[SweepPoint], max_latency_s: float) -> Choice:
    """Choose the batch for a latency budget.

    Of the batch sizes whose latency is within the budget, the one with the highest throughput.
    The latency is the p90, which nine of ten calls keep, and the median where there are too few
    samples for a p90; the reason says which. There is none if the verdict on the chosen one's
    latency is not OK, nor if that is so of a better one whose fastest call keeps the budget.
    """
    measured = [point for point in points if point.latency is not None]
    if not measured:
        return _none(points, "no batch size was measured")
    fitting = [point for point in measured if _held(point)[0] <= max_latency_s]
    chosen = max(fitting, key=_preference, default=None)
    for point in measured:
        assert point.latency is not None
        might_do = point is chosen or (
            point.latency.min_s <= max_latency_s
            and (chosen is None or _preference(point) > _preference(chosen))
        )
        if might_do and point.latency.verdict != OK:
            return _none(
                points,
                f"not said, since the latency at batch {point.batch} is {point.latency.verdict}",
            )
    if chosen is None:
        least = min(measured, key=lambda point: _held(point)[0])
        held_s, which = _held(least)
        return _none(
            points,
            f"no batch size keeps {seconds(max_latency_s)}; batch {least.batch} comes closest with"
            f" a {which} of {seconds(held_s)}",
        )
    held_s, which = _held(chosen)
    rate = "" if chosen.throughput_per_s is None else f", {si(chosen.throughput_per_s)}/s"
    return _chosen(
        chosen,
        f"batch {chosen.batch} keeps {seconds(max_latency_s)} with a {which} of"
        f" {seconds(held_s)}{rate}",
    )


def _rate(point: SweepPoint) -> float:
    return point.throughput_per_s or 0.0


def _preference(point: SweepPoint) -> tuple[float, int]:
    """Prefer the higher throughput, of equals the smaller batch."""
    return _rate(point), -point.batch


def _held(point: SweepPoint) -> tuple[float, str]:
    """Return the latency that counts against a budget, and what it is."""
    assert point.latency is not None
    if point.latency.p90_s is not None:
        return point.latency.p90_s, "p90"
    return point.latency.median_s, "median"


def _chosen(point: SweepPoint, reason: str) -> Choice:
    return Choice(
        dtype=point.dtype,
        options=point.options,
        batch=point.batch,
        latency_s=point.latency_s,
        throughput_per_s=point.throughput_per_s,
        reason=reason,
    )


def _none(points: Sequence[SweepPoint], reason: str) -> Choice:
    dtype, options = points[0].series
    return Choice(dtype=dtype, options=options, batch=None, reason=reason)
