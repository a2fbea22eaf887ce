"""What every presenter of a diff says alike: the headline, changes in percent, verdicts."""

from __future__ import annotations

from collections import Counter

from edgegraph.base.units import ratio, seconds, si
from edgegraph.compare.result import (
    ADDED,
    CHANGED,
    FUSED,
    REMOVED,
    REWIRED,
    SAME,
    Diff,
    Facet,
    Figure,
    LayerChange,
    OpChange,
    OpFigures,
)
from edgegraph.reporting.words import plural as plural
from edgegraph.results.verdicts import ESTIMATED, FASTER, NO_DIFFERENCE, NOISY, SLOWER

NAMES = {
    "ops": "ops",
    "kernels": "kernels",
    "params": "parameters",
    "param_bytes": "parameter bytes",
    "macs": "MACs",
    "flops": "FLOPs",
    "transcendentals": "transcendentals",
    "bytes_read": "bytes read",
    "bytes_written": "bytes written",
    "main_memory_bytes": "bytes of main memory",
    "wire_bytes": "bytes sent",
    "intensity_flops_per_byte": "FLOP per byte",
    "peak_memory_bytes": "peak memory",
    "temp_bytes": "temporary memory",
    "live_peak_bytes": "most alive",
    "code_bytes": "code",
    "compute_time_s": "compute time at the roof",
    "memory_time_s": "memory time at the roof",
    "overlapped_time_s": "time at the roof, overlapped",
    "serial_time_s": "time at the roof, one by one",
    "latency_s": "latency",
    "throughput_per_s": "throughput",
}
"""What figures are called, by name."""

HEADLINES = ("flops", "main_memory_bytes", "peak_memory_bytes", "latency_s")
_KINDS = (CHANGED, FUSED, REWIRED, ADDED, REMOVED)


def headline(diff: Diff) -> str:
    """Describe in one line what changed."""
    sides = f"{diff.before.title} → {diff.after.title}"
    if diff.empty:
        return f"{sides}: the same {plural(diff.same_ops, 'op')}"
    kinds = Counter(change.kind for change in diff.op_changes)
    ops = ", ".join(f"{kinds[kind]:,} {kind}" for kind in _KINDS if kinds[kind])
    figures = {figure.name: figure for figure in diff.figures}
    moved = [
        f"{NAMES[name]} {said}"
        for name in HEADLINES
        if name in figures and (said := change(figures[name])) not in ("", "=")
    ]
    same = f"{diff.same_ops:,} ops are the same"
    return f"{sides}: {'; '.join([f'of the ops {ops}' if ops else 'no op differs', same, *moved])}"


def settings(diff: Diff) -> str:
    """Describe what was set differently."""
    return "; ".join(f"{each.name} {each.before} → {each.after}" for each in diff.settings)


def value(figure: Figure, side: str) -> str:
    """Write one side of a figure with its unit."""
    number: float | int | None = getattr(figure, side)
    if figure.unit == "s":
        return seconds(number)
    if figure.unit in ("FLOP/B", "/s"):
        return f"{ratio(number)} {figure.unit}" if number is not None else "?"
    if not figure.unit and number is not None:
        return f"{number:,}"
    return si(number, figure.unit)


def change(figure: Figure) -> str:
    """Describe how much a figure changed: in percent, or by what it came to from nothing."""
    if figure.verdict in (NO_DIFFERENCE, NOISY):
        return figure.verdict
    return relative(figure.before, figure.after)


def relative(before: float | None, after: float | None) -> str:
    """Write a change in percent; ``=`` for none, ``x 30`` where it is large, "" where unknown."""
    if before is None or after is None:
        return ""
    if before == after:
        return "="
    if not before:
        return "new"
    change = after / before - 1
    if change >= 9:
        return f"x {ratio(after / before)}"
    text = f"{100 * change:+.{0 if abs(change) >= 0.0995 else 1}f}"
    return f"{text} %" if text[1:] != "0.0" else f"{'+' if change > 0 else '-'}<0.1 %"


def time_change(row: LayerChange) -> str:
    """Describe how a layer's time changed, held against its noise."""
    before_s, after_s = row.both("time_s")
    if before_s is None or after_s is None:
        return ""
    if row.time_verdict is None:
        return "not comparable"
    if row.time_verdict in (NO_DIFFERENCE, NOISY):
        return "=" if row.time_verdict == NO_DIFFERENCE else NOISY
    mark = "~" if row.time_verdict == ESTIMATED else ""
    said = relative(before_s, after_s)
    return said if said == "=" else mark + said


def bound_change(row: LayerChange) -> str:
    """Describe what binds a layer, and what did before where that was something else."""
    before, after = row.both("bound")
    if row.before is None or row.after is None or before == after:
        return row.present.bound or ""
    return f"{before or 'nothing'} → {after or 'nothing'}"


def aligned(row: LayerChange) -> str:
    """Describe what a layer was called before, and how it was recognised; "" where by its path."""
    if row.before is None or row.after is None or row.before.layer == row.after.layer:
        return ""
    return f"was {row.before.layer}, by {row.aligned_by}"


def op_name(figures: OpFigures) -> str:
    """Name an op, or how many there are, with what it is."""
    if len(figures.names) == 1:
        return f"{figures.names[0]} ({figures.opcode} {figures.shape})"
    return f"{len(figures.names)} ops: {', '.join(figures.names)}"


def op_names(row: OpChange) -> str:
    """Name what a change is about, both sides where their names differ."""
    present = [figures for figures in (row.before, row.after) if figures is not None]
    return " → ".join(dict.fromkeys(map(op_name, present)))


def facet(each: Facet) -> str:
    """Write one respect in which ops differ."""
    if each.name == "fused ops":
        gone, come = each.before and f"without {each.before}", each.after and f"with {each.after}"
        return f"fused ops: {', '.join(filter(None, (gone, come)))}"
    return f"{each.name} {each.before} → {each.after}".replace("  ", " ")


def shown_layers(diff: Diff, *, everything: bool = False) -> list[LayerChange]:
    """Return the layers that differ, in counts or in a time beyond its noise; or all."""
    return [
        row
        for row in diff.layer_changes
        if everything or row.kind != SAME or row.time_verdict in (FASTER, SLOWER)
    ]


def shown_figures(diff: Diff, *, everything: bool = False) -> list[Figure]:
    """Return the figures that differ, and the latency; or all."""
    return [
        figure
        for figure in diff.figures
        if (figure.before or figure.after)
        and (everything or figure.before != figure.after or figure.name == "latency_s")
    ]
