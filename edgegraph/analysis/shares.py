"""Whether layers take the shares of the time alone that they take inside the running program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import hypot

from edgegraph.base.units import percent
from edgegraph.hlo.op_name import scope_of
from edgegraph.measure.statistics import relative_interquartile_range
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.records import LayerRecord
from edgegraph.results.timing import Latency, LayerLatency, finest_cut
from edgegraph.results.verdicts import OK, noise

APART = 0.1
"""Difference of two shares of the whole from which it matters which of them is right."""

TIMES = 1.5
"""And by which factor they differ: fusing a layer with others changes its share by less."""

_NAMED = 3


def shares_note(
    rows: Sequence[LayerRecord],
    latency: Latency | None,
    latencies: Sequence[LayerLatency],
    trace: OpTrace | None,
) -> str | None:
    """Say in a line which layers' isolated and traced shares contradict each other.

    Two shares do where they lie further apart than the noise of both, by a tenth of the whole, and
    by half of the smaller one. None where none do, where one of both was not measured, or where the
    latency is not OK.
    """
    if trace is None or latency is None or latency.verdict != OK or not latencies:
        return None
    found = sorted(
        _contradictions(rows, latencies, trace), key=lambda each: -abs(each[1] - each[2])
    )
    if not found:
        return None
    named = "; ".join(
        f"{name} {percent(alone)} alone, {percent(traced)} in the trace"
        for name, alone, traced in found[:_NAMED]
    )
    more = f"; and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return (
        f"layers timed alone and in the trace contradict each other: {named}{more}. XLA compiles"
        " them differently inside the program, whose times the trace shows"
    )


def _contradictions(
    rows: Sequence[LayerRecord], latencies: Sequence[LayerLatency], trace: OpTrace
) -> Iterator[tuple[str, float, float]]:
    """Yield name, isolated and traced share of each layer whose shares contradict each other."""
    leaves = [row for row in rows if row.leaf and row.time_source == "measured"]
    alone_s = sum(row.time_s or 0.0 for row in leaves)
    traced_s = sum(row.traced_time_s or 0.0 for row in leaves)
    if not alone_s or not traced_s:
        return
    spread = relative_interquartile_range([run.ops_s for run in trace.runs])
    for row in leaves:
        alone, traced = (row.time_s or 0.0) / alone_s, (row.traced_time_s or 0.0) / traced_s
        noise_share = hypot(_noise_s(row, latencies) / alone_s, spread * traced)
        apart, least = abs(alone - traced), min(alone, traced)
        if apart > max(APART, noise_share, (TIMES - 1) * least):
            yield _called(row), alone, traced


def _noise_s(row: LayerRecord, latencies: Sequence[LayerLatency]) -> float:
    own = (scope_of(row.layer), row.phase)
    parts = [each for each in finest_cut(latencies) if (each.layer, each.phase) == own]
    return noise((each.latency, each.executions) for each in parts)


def _called(row: LayerRecord) -> str:
    return row.layer if row.phase == "forward" else f"{row.layer} ({row.phase})"
