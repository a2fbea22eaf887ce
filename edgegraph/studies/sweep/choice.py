"""Which size to choose: where throughput stops growing, and what fits a latency budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgegraph.base.axes import BATCH
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
    """A size along an axis, the batch or another, that answers a question, or why none does.

    Attributes:
        dtype, options: The curve that it was chosen on.
        batch: The batch size; None where it was to be chosen and there is none, or the measurement
            is too noisy to say.
        latency_s: Its median latency.
        throughput_per_s: Its throughput in samples per second.
        reason: One line: the choice with its numbers, or why there is none.
        axis: The axis that it was chosen along.
        sizes: Sizes along the axes besides the batch; without that of `axis` where there is none.
    """

    dtype: str | None
    options: str
    batch: int | None
    latency_s: float | None = None
    throughput_per_s: float | None = None
    reason: str
    axis: str = BATCH
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int | None:
        """What was chosen along the axis."""
        return self.batch if self.axis == BATCH else self.sizes.get(self.axis)

    @property
    def label(self) -> str:
        """Name the curve."""
        return curve_name(self.dtype, self.options)

    @property
    def at(self) -> Mapping[str, int]:
        """The sizes along the other axes."""
        held = {} if self.batch is None else {BATCH: self.batch}
        return {name: size for name, size in {**held, **self.sizes}.items() if name != self.axis}


def curve_name(dtype: str | None, options: str) -> str:
    """Name a curve by what tells it from others: ``bfloat16``, ``float32, unfused``."""
    if dtype is None:
        return options
    return dtype if options == "default" else f"{dtype}, {options}"


def find_knee(points: Sequence[SweepPoint], axis: str = BATCH) -> Choice:
    """Find the size from which throughput no longer grows.

    The knee is the smallest size whose throughput is within 5 % of the best of the curve, or
    within the best one's own uncertainty (half of its 95 % interval)
    where that is more. It is a threshold on the saturated rate, as Hockney's n_1/2 is, which
    asks for one half (Hockney and Jesshope, "Parallel Computers", 1981). Along another axis than
    the batch, of which each sample has as much as its size says, what grows is throughput times
    size. There is none

    - if only the largest size is that good: throughput still grows;
    - if the verdict on the best throughput, on the knee's, or on that of the size below the
      knee is not OK: the noise could move it;
    - with fewer than three measured sizes.
    """
    measured = sorted(
        (point for point in points if point.throughput_per_s is not None),
        key=lambda point: point.size(axis),
    )
    sized, rated = _words(axis)
    if len(measured) < FEWEST_POINTS:
        count = f"1 {sized} was" if len(measured) == 1 else f"{len(measured)} {sized}s were"
        return _none(points, axis, f"{count} measured, a knee needs three")
    best = max(measured, key=lambda point: _rate(point, axis))
    assert best.throughput is not None
    most = _rate(best, axis)
    margin = max(KNEE_MARGIN, best.throughput.uncertainty)
    position = next(
        at for at, point in enumerate(measured) if _rate(point, axis) >= (1 - margin) * most
    )
    knee = measured[position]
    for point in (best, knee, *measured[max(0, position - 1) : position]):
        assert point.throughput is not None
        if point.throughput.verdict != OK:
            return _none(
                points,
                axis,
                f"not said, since the throughput at {axis} {point.size(axis)} is"
                f" {point.throughput.verdict}",
            )
    size = knee.size(axis)
    if position == len(measured) - 1:
        said = f"{rated} still grows at {axis} {size}, the largest; sweep further"
        return _none(points, axis, said)
    if knee is best:
        reason = f"{axis} {size} has the best {rated}, {si(most)}/s"
    else:
        reason = (
            f"{axis} {size} is the smallest within {percent(margin)} of the best {rated},"
            f" {si(most)}/s at {axis} {best.size(axis)}"
        )
    return _chosen(knee, axis, reason)


def _words(axis: str) -> tuple[str, str]:
    """Return what to call a size along an axis, and what is best to have much of."""
    return ("batch size", "throughput") if axis == BATCH else (axis, f"throughput times {axis}")


def within_budget(points: Sequence[SweepPoint], max_latency_s: float, axis: str = BATCH) -> Choice:
    """Choose the size for a latency budget.

    Of the batch sizes whose latency is within the budget, the one with the highest throughput; of
    sizes along another axis, the largest.
    The latency is the p90, which nine of ten calls keep, and the median where there are too few
    samples for a p90; the reason says which. There is none if the verdict on the chosen one's
    latency is not OK, nor if that is so of a better one whose fastest call keeps the budget.
    """
    measured = [point for point in points if point.latency is not None]
    sized, _ = _words(axis)
    if not measured:
        return _none(points, axis, f"no {sized} was measured")
    fitting = [point for point in measured if _held(point)[0] <= max_latency_s]
    chosen = max(fitting, key=lambda point: _preference(point, axis), default=None)
    for point in measured:
        assert point.latency is not None
        might_do = point is chosen or (
            point.latency.min_s <= max_latency_s
            and (chosen is None or _preference(point, axis) > _preference(chosen, axis))
        )
        if might_do and point.latency.verdict != OK:
            return _none(
                points,
                axis,
                f"not said, since the latency at {axis} {point.size(axis)} is"
                f" {point.latency.verdict}",
            )
    if chosen is None:
        least = min(measured, key=lambda point: _held(point)[0])
        held_s, which = _held(least)
        return _none(
            points,
            axis,
            f"no {sized} keeps {seconds(max_latency_s)}; {axis} {least.size(axis)} comes closest"
            f" with a {which} of {seconds(held_s)}",
        )
    held_s, which = _held(chosen)
    rate = "" if chosen.throughput_per_s is None else f", {si(chosen.throughput_per_s)}/s"
    return _chosen(
        chosen,
        axis,
        f"{axis} {chosen.size(axis)} keeps {seconds(max_latency_s)} with a {which} of"
        f" {seconds(held_s)}{rate}",
    )


def _rate(point: SweepPoint, axis: str) -> float:
    return (point.throughput_per_s or 0.0) * (1 if axis == BATCH else point.size(axis))


def _preference(point: SweepPoint, axis: str) -> tuple[float, int]:
    """Prefer the higher throughput, of equals the smaller batch; or the larger size."""
    return (_rate(point, axis), -point.batch) if axis == BATCH else (point.size(axis), 0)


def _held(point: SweepPoint) -> tuple[float, str]:
    """Return the latency that counts against a budget, and what it is."""
    assert point.latency is not None
    if point.latency.p90_s is not None:
        return point.latency.p90_s, "p90"
    return point.latency.median_s, "median"


def _chosen(point: SweepPoint, axis: str, reason: str) -> Choice:
    return Choice(
        dtype=point.dtype,
        options=point.options,
        batch=point.batch,
        latency_s=point.latency_s,
        throughput_per_s=point.throughput_per_s,
        reason=reason,
        axis=axis,
        sizes=point.sizes,
    )


def _none(points: Sequence[SweepPoint], axis: str, reason: str) -> Choice:
    first = points[0]
    return Choice(
        dtype=first.dtype,
        options=first.options,
        batch=None if axis == BATCH else first.batch,
        reason=reason,
        axis=axis,
        sizes={name: size for name, size in first.sizes.items() if name != axis},
    )
