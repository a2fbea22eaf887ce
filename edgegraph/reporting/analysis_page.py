"""An analysis on the page, and everything else that shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from edgegraph.base.units import seconds
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.reporting import answer, plots, words
from edgegraph.reporting.exports import markdown
from edgegraph.reporting.figure import column_axes, inline_svg
from edgegraph.reporting.labels import short_names
from edgegraph.reporting.notebook import notebook_html
from edgegraph.reporting.presenters import Presenter, Section, Tab
from edgegraph.reporting.scene import pack
from edgegraph.reporting.tables import analysis_tables
from edgegraph.reporting.timeline import timeline
from edgegraph.reporting.views import LEAST, in_view, view_line
from edgegraph.results.analysis import Analysis, LayerRecord, Totals
from edgegraph.results.compiled_together import what_if
from edgegraph.results.records import CodeRecord
from edgegraph.results.timing import Latency
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIRST_FINDINGS = 4
"""Findings beyond these are folded away."""

THIN_PERCENT = 1.5
"""Pieces of a strip below this are drawn without a gap."""

_FIGURE_INCHES = 4.5

_Span = tuple[float, float, str, str]
"""Left and width in percent, kind and tooltip of a piece of a strip."""


class _Strip(NamedTuple):
    """One line of the time summary."""

    name: str
    value: str
    source: str
    spans: tuple[_Span, ...]


def analysis_section(
    analysis: Analysis, number: int, marks: Mapping[tuple[str, str], str] | None = None
) -> Section:
    """Gather what the template shows of one analysis; `marks` say what happened to layers."""
    rows = analysis.layer_records
    phases = list(dict.fromkeys(row.phase for row in rows))
    return {
        "id": f"analysis-{number}",
        "number": number,
        "template": "section.html.j2",
        "analysis": analysis,
        "bound": analysis.totals.bound,
        "first_findings": answer.listed(analysis)[:FIRST_FINDINGS],
        "more_findings": answer.listed(analysis)[FIRST_FINDINGS:],
        "phases": [(phase, [row for row in rows if row.phase == phase]) for phase in phases],
        "measured": any(row.time_source == "measured" for row in rows),
        "timed": any(row.time_s is not None for row in rows),
        "traced": analysis.totals.traced_time_s is not None
        and any(row.traced_time_s is not None for row in rows),
        "gains": _gains(rows),
        "strips": _strips(analysis),
        "roofline": _roofline(analysis, number),
        "layer_times": _layer_times(analysis, number),
        "by": "layer",
        "texts": False,
        "view": analysis.view,
        "view_line": view_line(analysis),
        "code": _code(analysis),
        "memory": _memory(analysis, number),
        "timeline": timeline(analysis),
        "marks": marks or {},
        "scene": pack(analysis, marks),
    }


def _gains(rows: Sequence[LayerRecord]) -> dict[tuple[str, str], float | None]:
    """Return what the whole would win if a layer ran at its roof, and None for parents."""
    known = {(each.layer, each.phase): each.gain_share for each in what_if(rows)}
    return {place: known.get(place) for place in ((row.layer, row.phase) for row in rows)}


def _code(analysis: Analysis) -> list[dict[str, Any]]:
    """Gather tables of functions and of lines; beside layers that of lines is enough."""
    found = []
    for by in ("line",) if analysis.view == "layer" else ("function", "line"):
        viewed = in_view(replace(analysis, shown_by=by), everything=False)
        rows = viewed.layer_records
        if any(row.layer != UNATTRIBUTED for row in rows):
            found.append(
                {
                    "by": by,
                    "heading": f"{by.capitalize()}s",
                    "shown": by == analysis.view,
                    "rows": rows,
                    "left": len(analysis.records_by(by)) - len(rows),
                    "least": LEAST,
                    "marks": {},
                    "timed": any(row.time_s is not None for row in rows),
                    "measured": any(row.efficiency is not None for row in rows),
                    "traced": False,
                    "inside": any(row.time_source == "measured" for row in rows),
                    "gains": _gains(rows),
                    "texts": any(isinstance(row, CodeRecord) and row.text for row in rows),
                }
            )
    return found


def _roofline(analysis: Analysis, number: int) -> dict[str, Any] | None:
    """Draw the roofline, and tell the script where its axes lie so that it finds the points."""
    if analysis.device is None:
        return None
    ax = plots.roofline(analysis, column_axes(3.5, left=0.55, width=_FIGURE_INCHES))
    box, figure = ax.get_position(), ax.get_figure(root=True)
    assert figure is not None
    width, height = (72 * inches for inches in figure.get_size_inches())
    axes = {
        "xlim": ax.get_xlim(),
        "ylim": ax.get_ylim(),
        # In points from the upper left corner, as SVG counts.
        "box": [box.x0 * width, height * (1 - box.y1), box.x1 * width, height * (1 - box.y0)],
    }
    svg = _inline(ax, analysis, f"a{number}-roofline-", "roofline")
    return {"svg": svg, "axes": json.dumps(axes)}


def _layer_times(analysis: Analysis, number: int) -> Markup | None:
    if all(row.time_s is None for row in analysis.layer_records if row.leaf):
        return None
    ax = plots.layer_times_axes(analysis, width=_FIGURE_INCHES, top=0.22)
    return _inline(
        plots.layer_times(analysis, ax), analysis, f"a{number}-times-", f"time by {analysis.view}"
    )


def _memory(analysis: Analysis, number: int) -> Markup | None:
    if analysis.live_memory is None:
        return None
    ax = column_axes(2.4, left=0.48, width=_FIGURE_INCHES)
    return _inline(plots.memory(analysis, ax), analysis, f"a{number}-memory-", "bytes alive")


def _inline(ax: Axes, analysis: Analysis, prefix: str, what: str) -> Markup:
    # The markup is matplotlib's own, parsed and written out again; all text in it is escaped.
    return Markup(inline_svg(ax, prefix=prefix, label=f"{what} of {words.title(analysis)}"))


_MOST_P90 = 1.15
"""A scale of times reaches so many times what is longest on it beside the p90."""


def _strips(analysis: Analysis) -> list[_Strip]:
    """Set bracket, whole, traced ops and sum of layers side by side on one scale of time.

    A p90 far beyond all of them stands at the end of the scale: it must not squeeze the rest.
    """
    totals, latency = analysis.totals, analysis.latency
    longest = max(
        totals.serial_time_s or 0.0,
        totals.layers_time_s or 0.0,
        totals.traced_time_s or 0.0,
        totals.expected_high_s or 0.0,
        0.0 if latency is None else latency.median_s,
    )
    if not longest:
        return []
    if latency is not None:
        longest = max(longest, min(latency.p90_s or 0.0, _MOST_P90 * longest))
    strips = [_bracket_strip(totals, longest), _expected_strip(analysis, longest)]
    if latency is not None:
        strips.append(_whole_strip(latency, longest))
    if totals.traced_time_s is not None:
        source = "measured: all ops inside the running program"
        whole = _span(0.0, totals.traced_time_s, longest, "whole")
        strips.append(_Strip("traced", seconds(totals.traced_time_s), source, (whole,)))
    if totals.layers_time_s is not None:
        leaves = [row for row in analysis.layer_records if row.leaf and row.time_s]
        split = any(row.time_source != "measured" for row in leaves)
        source = "measured: each layer compiled alone" + ", or a share of one that was" * split
        spans = tuple(_stacked(analysis, longest))
        strips.append(_Strip("sum of the layers", seconds(totals.layers_time_s), source, spans))
    return [strip for strip in strips if strip is not None]


def _bracket_strip(totals: Totals, longest: float) -> _Strip | None:
    overlapped, serial = totals.overlapped_time_s, totals.serial_time_s
    if overlapped is None or serial is None:
        return None
    value = f"{seconds(overlapped)} to {seconds(serial)}"
    spans = (_span(overlapped, serial, longest, "bracket"),)
    return _Strip("roofline bracket", value, "estimated: perfect overlap to none", spans)


def _expected_strip(analysis: Analysis, longest: float) -> _Strip | None:
    totals = analysis.totals
    if totals.expected_time_s is None:
        return None
    low, high = totals.expected_low_s, totals.expected_high_s
    assert low is not None
    assert high is not None
    why = "a first guess" if words.is_guess(analysis) else "from kernels timed here"
    source = f"estimated: {seconds(totals.expected_time_s)}, {why}"
    spans = (_span(low, high, longest, "bracket"),)
    return _Strip("expected", f"{seconds(low)} to {seconds(high)}", source, spans)


def _whole_strip(latency: Latency, longest: float) -> _Strip:
    median, p90 = latency.median_s, latency.p90_s
    spans = [_span(0.0, median, longest, "whole", "median")]
    if p90 is not None and p90 > median:
        beyond = p90 > longest
        mark = f"90th percentile: {seconds(p90)}{', beyond this scale' * beyond}"
        kind = "tail" + " beyond" * beyond
        spans.append(_span(median, min(p90, longest), longest, kind, mark))
    sound = "measured" if latency.verdict == OK else latency.verdict
    source = f"{sound}: median" + ("" if p90 is None else f", to p90 {seconds(p90)}")
    return _Strip("whole program", seconds(median), source, tuple(spans))


def _span(low: float, high: float, longest: float, kind: str, tooltip: str = "") -> _Span:
    return round(100 * low / longest, 3), round(100 * (high - low) / longest, 3), kind, tooltip


def _stacked(analysis: Analysis, longest: float) -> list[_Span]:
    names = short_names(analysis.layer_records)
    spans, left = [], 0.0
    for row in analysis.layer_records:
        if row.leaf and row.time_s:
            width = 100 * row.time_s / longest
            about = "" if row.time_source == "measured" else "~"
            tooltip = f"{names[row.layer, row.phase]}: {about}{seconds(row.time_s)}"
            # Between thin pieces there is no room for a line that parts them.
            kind = (row.bound or "neutral") + (" thin" if width < THIN_PERCENT else "")
            spans.append((round(left, 3), round(width, 3), kind, tooltip))
            left += width
    return spans


def analysis_tab(analysis: Analysis, number: int, named: bool) -> Tab:
    """Name an analysis by what tells it from the others on a page."""
    name = words.title(analysis)
    if not named and analysis.batch is not None:
        name = f"batch {analysis.batch}"
    return {
        "id": f"analysis-{number}",
        "name": name,
        "summary": answer.time_summary(analysis),
        "bound": analysis.totals.bound,
    }


PRESENTER = Presenter(
    table=lambda analysis, wide: analysis_tables(analysis),
    section=analysis_section,
    tab=analysis_tab,
    workloads=lambda analysis: (analysis.workload,),
    headline=answer.headline,
    notebook=notebook_html,
    markdown=markdown,
)
