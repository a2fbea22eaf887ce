"""How figures grow along an axis, and which layer is the largest from where on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

from edgegraph.base.units import percent, seconds, si
from edgegraph.results.columns import SHARE, Column
from edgegraph.results.records import LayerRecord
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.studies.sweep.result import SweepPoint

FEWEST_SIZES = 3
"""Without which no growth is told."""

ORDERS = ("constant", "linear", "quadratic", "cubic")
"""By the power of the size."""

EXACT, CLOSE, TIMED = 0.01, 0.05, 0.10
"""How far a formula may be off at any size: the lowest order that is exact is taken, else the
lowest that is close; of measured times the lowest within the last."""

_NOTHING = 1e-9
"""Share of a value that is rounding, and no term."""

_FIGURES = {
    "flops": "FLOPs",
    "bytes": "bytes",
    "peak_memory_bytes": "peak memory",
    "latency_s": "latency",
    "overlapped_time_s": "time at the roof",
}
_UNITS = {"flops": "FLOP", "bytes": "B", "peak_memory_bytes": "B"}
_LAYER_FIGURES = {"flops": "FLOPs", "roof_time_s": "time at the roof"}

_NUMBER = re.compile(r"(?<=[_/\[])\d+(?=/|\]|$)")
"""Of a layer among its like: ``blocks_0``, ``layers[3]``, ``blocks/0``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What the layers of one name cost together, those below them included.

    Attributes:
        layer: Their path, with a * for the number of one among its like: ``net/blocks_*/mlp``.
        flops, bytes: Of one call, in all phases.
        roof_time_s: Their time at the roof; None without a device.
    """

    layer: str
    flops: int | None
    bytes: int | None
    roof_time_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How one figure grows along an axis: a polynomial with no negative term, fitted to it.

    Its terms are powers of the size n from n^0 on, up to the lowest order that is within 1 % of
    every value, or else within 5 %; of measured times within 10 %. The squares of what it is off,
    as a share of each value, are least.

    Attributes:
        axis: The axis.
        at: Batch size, and sizes along other axes, that it holds for.
        dtype, options: The curve.
        figure: ``flops``, ``bytes``, ``peak_memory_bytes``; ``latency_s`` where that was measured,
            else ``overlapped_time_s``.
        terms: Coefficients of n^0, n^1, ...
        off: How far the formula is off at most, as a share.
        checked: Whether there were more sizes than terms, so that it might have been off.
        order: ``constant``, ``linear``, ``quadratic``, ``cubic``: of the highest term; None where
            the formula is off by more.
        mostly_from: Size from which the highest term is larger than all others together.
    """

    axis: str
    at: Mapping[str, int]
    dtype: str | None
    options: str
    figure: str
    terms: tuple[float, ...]
    off: Annotated[float, SHARE]
    checked: bool
    order: str | None
    mostly_from: float | None

    @property
    def name(self) -> str:
        """The figure in words."""
        return _FIGURES[self.figure]

    @property
    def formula(self) -> Annotated[str, Column(heading="formula")]:
        """The polynomial in the size n: ``1.05 MFLOP + 25.2 kFLOP n + 2.05 kFLOP n^2``."""
        unit = _UNITS.get(self.figure)
        written = [
            (seconds(each) if unit is None else si(each, unit)) + _POWERS[power]
            for power, each in enumerate(self.terms)
            if each
        ]
        return " + ".join(written) or "0"

    @property
    def words(self) -> str:
        """The growth in words: ``FLOPs quadratic (mostly from length 1,536 on)``."""
        if self.order is None:
            return f"{self.name} of no such order (the formula is off by {percent(self.off)})"
        if self.order in ORDERS[:2] or self.mostly_from is None:
            return f"{self.name} {self.order}"
        said = f"mostly from {self.axis} {self.mostly_from:,.0f} on"
        return f"{self.name} {self.order} ({said})"


_POWERS = ("", " n", " n^2", " n^3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaking:
    """Where along an axis another layer becomes the largest of those beside it.

    Attributes:
        axis, at, dtype, options: As on `Growth`.
        figure: By what: ``flops``, or ``roof_time_s``.
        before, after: The largest layers below it and from it on, named as in `LayerCost`.
        size: Where their fitted costs are equal; None where no polynomial fits both within 1 %.
        between: The two swept sizes that it lies between.
    """

    axis: str
    at: Mapping[str, int]
    dtype: str | None
    options: str
    figure: str
    before: str
    after: str
    size: float | None
    between: tuple[int, int]

    @property
    def words(self) -> str:
        """Say it, and whether it was computed or lies between two points."""
        low, high = self.between
        where = (
            f"between {self.axis} {low:,} and {high:,}, two swept points"
            if self.size is None
            else f"at {self.axis} {self.size:,.0f}, computed from polynomials fitted to both"
        )
        after, before = _short(self.after), _short(self.before)
        return f"{after} overtakes {before} in {_LAYER_FIGURES[self.figure]} {where}"


def _short(layer: str) -> str:
    """Leave out the model's own name."""
    return layer.partition("/")[2] or layer


def layer_costs(records: Sequence[LayerRecord]) -> tuple[LayerCost, ...]:
    """Add up layers of one name over all phases, in their order."""
    held: dict[str, list[LayerRecord]] = {}
    for record in records:
        held.setdefault(_NUMBER.sub("*", record.layer), []).append(record)
    return tuple(
        LayerCost(
            layer=name,
            flops=_sum(record.flops for record in own),
            bytes=_sum(record.bytes for record in own),
            roof_time_s=_sum(record.roof_time_s for record in own),
        )
        for name, own in held.items()
    )


def _sum(values: Iterator[int | None] | Iterator[float | None]) -> Any:
    """Add up; unknown where one is."""
    known = list(values)
    return None if None in known else sum(known)


def fit(
    sizes: Sequence[int],
    values: Sequence[float],
    tolerances: Sequence[float],
    highest: int = len(ORDERS) - 1,
) -> tuple[tuple[float, ...], float]:
    """Return the terms of a polynomial without negative ones, and how far it is off at most.

    It is of the lowest order within the first tolerance that any is within, else the nearest, and
    of the highest at most.
    """
    import numpy as np
    from scipy.optimize import nnls

    n, y = np.array(sizes, float), np.array(values, float)
    found = []
    for degree in range(min(highest + 1, len(sizes))):
        # Each row is divided by its value, so that shares count, and each column by its largest.
        rows = np.stack([n**power for power in range(degree + 1)], 1) / y[:, None]
        largest = rows.max(0)
        terms = nnls(rows / largest, np.ones(len(y)))[0] / largest
        terms = np.where((rows * terms).max(0) < _NOTHING, 0.0, terms)
        found.append((tuple(map(float, terms)), float(np.abs(rows @ terms - 1.0).max())))
    for tolerance in tolerances:
        for terms, off in found:
            if off <= tolerance:
                return terms, off
    return min(found, key=lambda each: each[1])


def grow(points: Sequence[SweepPoint], axis: str, at: Mapping[str, int]) -> tuple[Growth, ...]:
    """Fit every figure of a curve's points along an axis, as far as it is known at all of them."""
    points = [point for point in points if point.error is None]
    timed = all(point.latency is not None and point.latency.verdict == OK for point in points)
    time = "latency_s" if timed else "overlapped_time_s"
    made = (
        _growth(points, axis, at, figure)
        for figure in ("flops", "bytes", "peak_memory_bytes", time)
    )
    return tuple(each for each in made if each is not None)


def _growth(
    points: Sequence[SweepPoint], axis: str, at: Mapping[str, int], figure: str
) -> Growth | None:
    sizes = [point.size(axis) for point in points]
    values = [getattr(point, figure) for point in points]
    if len(sizes) < FEWEST_SIZES or not all(values):  # unknown, or 0, which has no share
        return None
    tolerances = (TIMED,) if figure == "latency_s" else (EXACT, CLOSE)
    terms, off = fit(sizes, values, tolerances)
    order = max(power for power, each in enumerate(terms) if each)
    dtype, options = points[0].series
    return Growth(
        axis=axis,
        at=at,
        dtype=dtype,
        options=options,
        figure=figure,
        terms=terms[: order + 1],
        off=off,
        checked=len(sizes) > len(terms),
        order=ORDERS[order] if off <= tolerances[-1] else None,
        mostly_from=crossing(lambda n: _lead(terms[: order + 1], n), 1.0, 1e12),
    )


def _lead(terms: Sequence[float], n: float) -> float:
    """Return by how much the highest term is larger than all others together."""
    return terms[-1] * n ** (len(terms) - 1) - value_at(terms[:-1], n)


def crossing(difference: Callable[[float], float], low: float, high: float) -> float | None:
    """Return where a function turns from negative to positive, or None where it does not."""
    from scipy.optimize import brentq

    if not difference(low) <= 0 < difference(high):
        return None
    return float(brentq(difference, low, high))


def overtakings(
    points: Sequence[SweepPoint], axis: str, at: Mapping[str, int]
) -> tuple[Overtaking, ...]:
    """Find where the largest of layers beside each other is another one, along a curve."""
    points = [point for point in points if point.layers]
    if len(points) < 2:
        return ()
    costs = [{each.layer: each for each in point.layers} for point in points]
    beside: dict[str, list[str]] = {}
    for name in costs[0]:
        if all(name in each for each in costs):
            beside.setdefault(name.rpartition("/")[0], []).append(name)
    return tuple(
        found
        for figure in _LAYER_FIGURES
        for names in beside.values()
        for found in _among(
            points,
            axis,
            at,
            figure,
            {name: [getattr(each[name], figure) for each in costs] for name in names},
        )
    )


def _among(
    points: Sequence[SweepPoint],
    axis: str,
    at: Mapping[str, int],
    figure: str,
    costs: Mapping[str, Sequence[float | None]],
) -> Iterator[Overtaking]:
    """Yield where the largest of some layers changes; `costs` are theirs, point by point."""
    known = {name: [each or 0.0 for each in own] for name, own in costs.items() if None not in own}
    if len(known) < 2:
        return
    sizes = [point.size(axis) for point in points]
    largest = [max(known, key=dict(zip(known, own, strict=True)).__getitem__)
               for own in zip(*known.values(), strict=True)]  # fmt: skip
    dtype, options = points[0].series
    for here, there in pairwise(range(len(sizes))):
        before, after = largest[here], largest[there]
        if before == after:
            continue
        between = sizes[here], sizes[there]
        yield Overtaking(
            axis=axis, at=at, dtype=dtype, options=options, figure=figure, before=before,
            after=after, between=between,
            size=_equal(sizes, known[before], known[after], between),
        )  # fmt: skip


def _equal(
    sizes: Sequence[int], before: Sequence[float], after: Sequence[float], between: tuple[int, int]
) -> float | None:
    """Return where two fitted costs are equal between two sizes; None where none fits."""
    if len(sizes) < FEWEST_SIZES or not all(before) or not all(after):
        return None
    (one, off_one), (other, off_other) = fit(sizes, before, [EXACT]), fit(sizes, after, [EXACT])
    if max(off_one, off_other) > EXACT:
        return None

    def lead(n: float) -> float:
        return value_at(other, n) - value_at(one, n)

    # They may be equal at one of the two sizes itself, but for the rounding.
    return crossing(lead, between[0] * (1 - EXACT), between[1] * (1 + EXACT))


def value_at(terms: Sequence[float], n: float) -> float:
    """Return a polynomial at a size."""
    return sum(each * n**power for power, each in enumerate(terms))
