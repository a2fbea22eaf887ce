"""One self-contained HTML page: opened from disk, offline, light or dark, printable.

It needs no script: the browser's own radio buttons switch between analyses, and the page's
content security policy forbids everything but its own styles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edgegraph.atomic import replacing
from edgegraph.errors import InputError
from edgegraph.report import memory_words, plots, words
from edgegraph.report.inline_svg import inline_svg
from edgegraph.report.layer_graph import layer_graph
from edgegraph.report.layer_layout import lay_out
from edgegraph.report.names import short_names, shorten
from edgegraph.report.palette import BOUND_COLOURS
from edgegraph.report.svg_path import edge_path
from edgegraph.results.analysis import Analysis
from edgegraph.results.frames import intensity
from edgegraph.units import percent, ratio, seconds, si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATES = Path(__file__).parent / "templates"
FIRST_FINDINGS = 4
"""Findings beyond these are folded away."""

_FIGURE_INCHES = 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """One line of the time summary, in percent of its width."""

    name: str
    value: str
    source: str
    spans: tuple[tuple[float, float, str, str], ...]
    """Left, width, kind and tooltip of every piece."""


def write_page(analyses: Sequence[Analysis], path: str | Path) -> Path:
    """Write one page that shows the analyses, one at a time.

    Args:
        analyses: At least one; several of one workload (batches, targets) or of different ones.
        path: Where to write; an existing file is replaced as a whole.

    Returns:
        The path written.

    Raises:
        InputError: There is no analysis, or the path cannot be written.
    """
    path = Path(path)
    text = page(analyses)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def page(analyses: Sequence[Analysis]) -> str:
    """Give the page as text; see `write_page`."""
    if not analyses:
        raise InputError("a page needs at least one analysis, and there is none")
    template = page_environment().get_template("page.html.j2")
    sections = [page_section(analysis, number) for number, analysis in enumerate(analyses)]
    return template.render(sections=sections, tabs=page_tabs(analyses), heading=_heading(analyses))


def page_environment() -> Environment:
    """Give the templates' environment, with the filters and words that they use."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "quantity": _quantity,
        "points": _points,
        "shorten": shorten,
        "edge_path": edge_path,
    }
    environment.globals |= {
        "si": si, "seconds": seconds, "percent": percent, "ratio": ratio,
        "intensity": intensity, "words": words, "memory_words": memory_words,
        "bounds": tuple(BOUND_COLOURS),
    }  # fmt: skip
    return environment


def _quantity(text: str) -> Markup:
    """Set number and unit apart, so that numbers align in a column."""
    number, _, unit = text.rpartition(" ")
    if not number:
        return Markup('<span class="n">{}</span><span class="u"></span>').format(text)
    return Markup('<span class="n">{}</span><span class="u">{}</span>').format(number, unit)


def _points(number: float) -> str:
    """Write a coordinate without needless digits."""
    return f"{number:.1f}".removesuffix(".0")


def _heading(analyses: Sequence[Analysis]) -> str:
    return ", ".join(dict.fromkeys(analysis.workload for analysis in analyses))


def page_tabs(analyses: Sequence[Analysis]) -> list[dict[str, str | None]]:
    """Name every analysis by what tells it from the others."""
    same = len({analysis.workload for analysis in analyses}) == 1
    tabs: list[dict[str, str | None]] = []
    for analysis in analyses:
        name = words.title(analysis)
        if same and analysis.batch is not None:
            name = f"batch {analysis.batch}"
        tabs.append(
            {"name": name, "taking": words.taking(analysis), "bound": words.binding(analysis)}
        )
    names = [tab["name"] for tab in tabs]
    for number, tab in enumerate(tabs, start=1):
        if names.count(tab["name"]) > 1:
            tab["name"] = f"{tab['name']} ({number})"
    return tabs


def page_section(
    analysis: Analysis, number: int, marks: Mapping[tuple[str, str], str] | None = None
) -> dict[str, Any]:
    """Gather what the template shows of one analysis.

    Args:
        analysis: The analysis.
        number: Its place on the page.
        marks: What happened to a layer, by layer and phase; such layers are marked.
    """
    rows = analysis.layer_records
    drawing = lay_out(layer_graph(analysis))
    phases = list(dict.fromkeys(row.phase for row in rows))
    return {
        "id": f"analysis-{number}",
        "analysis": analysis,
        "bound": words.binding(analysis),
        "advice": next(
            (finding for finding in analysis.findings if finding.rule != "noisy-machine"), None
        ),
        "first_findings": analysis.findings[:FIRST_FINDINGS],
        "more_findings": analysis.findings[FIRST_FINDINGS:],
        "phases": [(phase, [row for row in rows if row.phase == phase]) for phase in phases],
        "measured": any(row.time_source == "measured" for row in rows),
        "timed": any(row.time_s is not None for row in rows),
        "strips": _strips(analysis),
        "roofline": _roofline(analysis, number),
        "layer_times": _layer_times(analysis, number),
        "memory": _memory(analysis, number),
        "drawing": drawing,
        "marks": marks or {},
        "largest": max(
            (sum(tensor.bytes for tensor in edge.tensors) for edge in drawing.edges), default=0
        ),
    }


def _roofline(analysis: Analysis, number: int) -> Markup | None:
    if analysis.device is None:
        return None
    ax = plots.column_axes(3.5, left=0.55, width=_FIGURE_INCHES)
    return _inline(plots.roofline(analysis, ax), analysis, f"a{number}-roofline-", "roofline")


def _layer_times(analysis: Analysis, number: int) -> Markup | None:
    if all(row.time_s is None for row in analysis.layer_records if row.leaf):
        return None
    ax = plots.layer_times_axes(analysis, width=_FIGURE_INCHES, top=0.22)
    return _inline(plots.layer_times(analysis, ax), analysis, f"a{number}-times-", "time by layer")


def _memory(analysis: Analysis, number: int) -> Markup | None:
    if analysis.live_memory is None:
        return None
    ax = plots.column_axes(2.4, left=0.48, width=_FIGURE_INCHES)
    return _inline(plots.memory(analysis, ax), analysis, f"a{number}-memory-", "bytes alive")


def _inline(ax: Axes, analysis: Analysis, prefix: str, what: str) -> Markup:
    # The markup is matplotlib's own, parsed and written anew; all text in it is escaped.
    return Markup(inline_svg(ax, prefix=prefix, label=f"{what} of {words.title(analysis)}"))


def _strips(analysis: Analysis) -> list[_Strip]:
    """Set bracket, whole and sum of layers side by side on one scale of time."""
    totals, latency = analysis.totals, analysis.latency
    longest = max(
        totals.serial_time_s or 0.0,
        totals.layers_time_s or 0.0,
        0.0 if latency is None else latency.p90_s or latency.median_s,
    )
    if not longest:
        return []
    strips: list[_Strip] = []

    def share(value: float) -> float:
        return round(100 * value / longest, 3)

    if totals.overlapped_time_s is not None and totals.serial_time_s is not None:
        overlapped, serial = totals.overlapped_time_s, totals.serial_time_s
        strips.append(
            _Strip(
                name="roofline bracket",
                value=f"{seconds(overlapped)} to {seconds(serial)}",
                source="estimated: perfect overlap to none",
                spans=((share(overlapped), share(serial - overlapped), "bracket", ""),),
            )
        )
    if latency is not None:
        spans = [(0.0, share(latency.median_s), "whole", "median")]
        if latency.p90_s is not None and latency.p90_s > latency.median_s:
            spans.append(
                (
                    share(latency.median_s), share(latency.p90_s - latency.median_s), "tail",
                    f"90th percentile: {seconds(latency.p90_s)}",
                )
            )  # fmt: skip
        strips.append(
            _Strip(
                name="whole program",
                value=seconds(latency.median_s),
                source="measured: median"
                + ("" if latency.p90_s is None else f", then p90 {seconds(latency.p90_s)}"),
                spans=tuple(spans),
            )
        )
    if totals.layers_time_s is not None:
        strips.append(
            _Strip(
                name="sum of the layers",
                value=seconds(totals.layers_time_s),
                source="measured: each layer compiled alone",
                spans=tuple(_stacked(analysis, longest)),
            )
        )
    return strips


def _stacked(analysis: Analysis, longest: float) -> list[tuple[float, float, str, str]]:
    names = short_names(analysis.layer_records)
    spans, left = [], 0.0
    for row in analysis.layer_records:
        if row.leaf and row.time_source == "measured" and row.time_s:
            width = 100 * row.time_s / longest
            tooltip = f"{names[row.layer, row.phase]}: {seconds(row.time_s)}"
            spans.append((round(left, 3), round(width, 3), row.bound or "neutral", tooltip))
            left += width
    return spans
