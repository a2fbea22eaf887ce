"""A saved analysis in the terminal: its layers chosen and sorted, or its ops one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.errors import InputError
from edgegraph.report.names import shorten
from edgegraph.report.table import BOUND_STYLE, layer_table, share_bar
from edgegraph.report.words import headline
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord
from edgegraph.units import seconds, si

SORTS: Mapping[str, Callable[[LayerRecord | OpRecord], float]] = {
    "time": lambda row: row.time_s or 0.0,
    "flops": lambda row: row.flops or 0,
    "macs": lambda row: row.macs or 0,
    "bytes": lambda row: (row.bytes_read or 0) + (row.bytes_written or 0),
}
"""What rows can be sorted by, the largest first."""

MOST_OPS = 40
"""Ops that are shown unless all are asked for."""

_NAME = 20
_LAYER = 12
"""Characters, so that a row fits into 80 columns."""

_Row = TypeVar("_Row", LayerRecord, OpRecord)


def shown_layers(
    analysis: Analysis,
    *,
    depth: int | None = None,
    sort: str | None = None,
    phase: str | None = None,
) -> RenderableType:
    """Show the layers of an analysis as a tree.

    Args:
        analysis: Any analysis.
        depth: How many levels below the top; all where None.
        sort: Sort what stands side by side by one of `SORTS`; in the model's order where None.
        phase: ``forward``, ``backward``, ...; all where None.

    Raises:
        InputError: There is no such column or phase, or the depth is negative.
    """
    if depth is not None and depth < 0:
        raise InputError(f"--depth must be a non-negative integer, not {depth}")
    rows = _of_phase(analysis.layer_records, phase, analysis)
    if sort is not None:
        rows = _sorted_tree(rows, _key(sort))
    if depth is not None:
        rows = [row for row in rows if row.depth <= depth]
    return layer_table(replace(analysis, layer_records=tuple(rows)))


def shown_ops(
    analysis: Analysis,
    *,
    sort: str | None = None,
    phase: str | None = None,
    most: int | None = None,
) -> RenderableType:
    """Show the ops of an analysis, those that take most first.

    Args:
        analysis: Any analysis.
        sort: One of `SORTS`; ``time`` where None.
        phase: ``forward``, ``backward``, ...; all where None.
        most: How many; all where None.

    Raises:
        InputError: There is no such column or phase.
    """
    work = [record for record in analysis.op_tree.leaves if record.bound is not None]
    rows = sorted(_of_phase(work, phase, analysis), key=_key(sort or "time"), reverse=True)
    whole = sum(row.time_s or 0.0 for row in rows)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("op", no_wrap=True, overflow="ellipsis", min_width=8)
    table.add_column("layer", no_wrap=True, overflow="ellipsis", min_width=8)
    for heading in ("FLOP", "bytes"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=7)
    table.add_column("bound", no_wrap=True, min_width=7)
    table.add_column("time", justify="right", no_wrap=True, min_width=7)
    table.add_column("share", no_wrap=True, min_width=15)
    for row in rows[:most]:
        estimated = row.time_source == "estimated"
        table.add_row(
            shorten(row.name, _NAME - len(_times(row))) + _times(row),
            shorten((row.layer or "").rpartition("/")[2], _LAYER),
            si(row.flops),
            si((row.bytes_read or 0) + (row.bytes_written or 0), "B"),
            Text(row.bound or "", style=BOUND_STYLE.get(row.bound or "", "")),
            Text("~" * estimated + seconds(row.time_s), style="dim" if estimated else ""),
            share_bar((row.time_s or 0.0) / whole if whole else None),
        )
    left = len(rows) - len(rows[:most])
    parts: list[RenderableType] = [Text(headline(analysis), style="bold"), table]
    if left:
        parts.append(Text(f"and {left:,} ops more; --all shows them", style="dim"))
    return Group(*parts)


def _times(row: OpRecord) -> str:
    """Describe how often an op runs, where that is not once."""
    if row.executions is None:
        return " x ?"
    return "" if row.executions == 1 else f" x {row.executions}"


def _key(sort: str) -> Callable[[LayerRecord | OpRecord], float]:
    if sort not in SORTS:
        raise InputError(f"--sort {sort!r} is not a column; choose one of: {', '.join(SORTS)}")
    return SORTS[sort]


def _of_phase(rows: Sequence[_Row], phase: str | None, analysis: Analysis) -> list[_Row]:
    phases = list(dict.fromkeys(row.phase for row in analysis.layer_records))
    if phase is not None and phase not in phases:
        raise InputError(f"--phase {phase!r} is not in this analysis; it has: {', '.join(phases)}")
    return [row for row in rows if phase is None or row.phase == phase]


def _sorted_tree(
    rows: Sequence[LayerRecord], key: Callable[[LayerRecord | OpRecord], float]
) -> list[LayerRecord]:
    """Sort siblings, each with what is below it; phases stay apart, in their order."""
    groups: list[list[LayerRecord]] = []
    for row in rows:
        if not groups or row.depth <= groups[0][0].depth:
            groups.append([row])
        else:
            groups[-1].append(row)
    phases = list(dict.fromkeys(row.phase for row in rows))
    groups.sort(key=lambda group: (phases.index(group[0].phase), -key(group[0])))
    return [row for top, *below in groups for row in (top, *_sorted_tree(below, key))]
