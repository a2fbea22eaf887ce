"""What rows of an analysis are shown: its layers, or functions or lines in their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter

from edgegraph.base.units import percent
from edgegraph.hlo.op_name import UNATTRIBUTED, is_own, scope_of
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.records import CodeRecord

LEAST = 0.005
"""Share of a function or line below which it is left out, unless all are asked for: large programs
have hundreds of lines, few of which matter."""


def in_view(analysis: Analysis, *, everything: bool = True) -> Analysis:
    """Return an analysis with the rows that it is shown by in place of its layers.

    Functions and lines stand with the largest first; they were not timed separately.
    """
    if analysis.view == "layer":
        return analysis
    rows = analysis.records_by(analysis.view)
    weigh = weight(rows)
    rows = tuple(largest_first(rows, weigh))
    if not everything:
        whole = sum(map(weigh, (row for row in rows if row.leaf)))
        rows = tuple(row for row in rows if weigh(row) >= LEAST * whole)
    placed = [row for row in rows if row.depth == 0 and row.layer != UNATTRIBUTED]
    totals, moved = analysis.totals, analysis.totals.bytes_read + analysis.totals.bytes_written
    totals = replace(
        totals,
        layers_time_s=None,
        flops_coverage=_share(sum(row.flops or 0 for row in placed), totals.flops),
        bytes_coverage=_share(sum(row.bytes or 0 for row in placed), moved),
    )
    return replace(analysis, layer_records=rows, layer_latencies=(), totals=totals)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def weight(rows: Sequence[LayerRecord]) -> Callable[[LayerRecord], float]:
    """Return what says how much a row matters: its time, its FLOPs where no time is known."""
    if any(row.time_s for row in rows):
        return lambda row: row.time_s or 0.0
    return lambda row: row.flops or 0


def largest_first(
    rows: Sequence[LayerRecord], key: Callable[[LayerRecord], float]
) -> list[LayerRecord]:
    """Sort siblings, each with what is below it; phases stay apart, in their order."""
    phases = list(dict.fromkeys(row.phase for row in rows))
    place: list[tuple[int, int, float, int]] = []
    places = []
    for number, row in enumerate(rows):
        above = [each for each in place if each[0] < row.depth]
        place = [*above, (row.depth, phases.index(row.phase), -key(row), number)]
        places.append(place)
    return [row for _, row in sorted(zip(places, rows, strict=True), key=itemgetter(0))]


def view_line(analysis: Analysis) -> str | None:
    """Say by what the rows are, why, and which takes most; None where they are layers."""
    if analysis.view == "layer":
        return None
    rows = analysis.records_by(analysis.view)
    what = "time" if any(row.time_s for row in rows) else "FLOPs"
    said = f"by {analysis.view}"
    if analysis.shown_by is None:
        said += f", since layers cover {_covered(analysis)} of the {what}; --by layer shows them"
    largest = largest_of_code(analysis)
    if largest is None:
        return said
    row, share = largest
    does = " itself" * is_own(row.layer)
    text = f": {row.text}" if isinstance(row, CodeRecord) and row.text else ""
    return f"{said}. {code_name(row)}{does} takes {percent(share)} of the {what}{text}"


def largest_of_code(analysis: Analysis) -> tuple[LayerRecord, float] | None:
    """Return the function or line that takes most, with its share; None where layers are shown.

    None as well where nothing takes any, or what does stands nowhere.
    """
    rows = () if analysis.view == "layer" else analysis.records_by(analysis.view)
    weigh = weight(rows)
    most = max((row for row in rows if row.leaf), key=weigh, default=None)
    whole = sum(weigh(row) for row in rows if row.leaf)
    if most is None or not whole or most.layer == UNATTRIBUTED:
        return None
    return most, weigh(most) / whole


def code_name(row: LayerRecord) -> str:
    """Return the name of a function or line without those of its callers."""
    return scope_of(row.layer).rpartition("/")[2]


def _covered(analysis: Analysis) -> str:
    rows = [row for row in analysis.layer_records if row.leaf]
    weigh = weight(analysis.layer_records)
    whole = sum(map(weigh, rows))
    return percent(sum(weigh(row) for row in rows if row.layer != UNATTRIBUTED) / (whole or 1))
