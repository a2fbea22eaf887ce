"""One self-contained HTML page: opened from disk, offline, light or dark, printable.

Text, tables and plots need no script, and the browser's own radio buttons switch between
analyses; the graph, the table of ops and the links between them are drawn by one script, which
stands in the page. Its content security policy allows that script by its hash, the page's own
styles, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edgegraph import __version__
from edgegraph.base.files import replacing
from edgegraph.base.units import percent, ratio, seconds, si
from edgegraph.compare import words as diff_words
from edgegraph.errors import InputError
from edgegraph.reporting import memory as memory_words
from edgegraph.reporting import plots, words
from edgegraph.reporting.figure import inline_svg
from edgegraph.reporting.labels import short_names, shorten
from edgegraph.reporting.presenters import Study
from edgegraph.reporting.scene.pack import pack
from edgegraph.reporting.study_sections import study_section, study_tab, workloads
from edgegraph.reporting.timeline import timeline
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.columns import columns_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "format", "scene", "colours", "graph", "graph_drawing", "graph_input", "panel", "tree",
    "roofline", "main",
)  # fmt: skip
"""In this order they make the page's script."""

FIRST_FINDINGS = 4
"""Findings beyond these are folded away."""

THIN_PERCENT = 1.5
"""Pieces of a strip below this are drawn without a gap."""

_FIGURE_INCHES = 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """One line of the time summary, in percent of its width."""

    name: str
    value: str
    source: str
    spans: tuple[tuple[float, float, str, str], ...]
    """Left, width, kind and tooltip of every piece."""


_LAYER_COLUMNS = columns_of(
    LayerRecord, "params", "macs", "flops", "bytes", "intensity_flops_per_byte"
).values()
"""What stands before the times in the table of layers."""


def write_page(results: Sequence[Analysis | Study], path: str | Path) -> Path:
    """Write one page that shows the results, one at a time.

    Args:
        results: At least one analysis, sweep, fusion study, overlap study or device comparison;
            several of one workload (batches, targets) or of different ones.
        path: Where to write; an existing file is replaced as a whole.

    Returns:
        The path written.

    Raises:
        InputError: There is no result, or the path cannot be written.
    """
    path = Path(path)
    text = page(results)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def page(results: Sequence[Analysis | Study]) -> str:
    """Return the page as text; see `write_page`."""
    if not results:
        raise InputError("a page needs at least one analysis or study, and there is none")
    sections = [
        page_section(result, number)
        if isinstance(result, Analysis)
        else study_section(result, number)
        for number, result in enumerate(results)
    ]
    return render("shell.html.j2", sections, page_tabs(results), ", ".join(_workloads(results)))


def render(
    template: str,
    sections: Sequence[Mapping[str, Any]],
    tabs: Sequence[Mapping[str, Any]],
    heading: str,
    **more: Any,
) -> str:
    """Fill a template that extends the page's shell.

    Args:
        template: Its name.
        sections: What `page_section` and `study_section` gave.
        tabs: What can be shown, one at a time, each with the ``id`` of its part of the page.
        heading: Over the whole.
        more: What else the template shows.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            sections=sections,
            tabs=tabs,
            heading=heading,
            version=__version__,
            script=Markup(_script()),
            script_hash=_hash(_script()),
            **more,
        )
    )


@cache
def _script() -> str:
    """Put the page's script together; the names in it are its own."""
    parts = [(ASSETS / f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def _hash(script: str) -> str:
    """Name a script as a content security policy does."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "quantity": _quantity,
        "shorten": shorten,
    }
    environment.globals |= {
        "si": si, "seconds": seconds, "percent": percent, "ratio": ratio,
        "layer_columns": _LAYER_COLUMNS, "words": words, "memory_words": memory_words,
        "diff_words": diff_words,
    }  # fmt: skip
    return environment


def _quantity(text: str) -> Markup:
    """Set number and unit apart, so that numbers align in a column."""
    number, _, unit = text.rpartition(" ")
    if not number:
        return Markup('<span class="n">{}</span><span class="u"></span>').format(text)
    return Markup('<span class="n">{}</span><span class="u">{}</span>').format(number, unit)


def _workloads(results: Sequence[Analysis | Study]) -> list[str]:
    names = (
        (result.workload,) if isinstance(result, Analysis) else workloads(result)
        for result in results
    )
    return list(dict.fromkeys(name for each in names for name in each))


def page_tabs(results: Sequence[Analysis | Study]) -> list[dict[str, str | None]]:
    """Name every result by what tells it from the others."""
    same = len(_workloads(results)) == 1
    tabs: list[dict[str, str | None]] = []
    for number, analysis in enumerate(results):
        if not isinstance(analysis, Analysis):
            tabs.append(study_tab(analysis, number, named=not same))
            continue
        name = words.title(analysis)
        if same and analysis.batch is not None:
            name = f"batch {analysis.batch}"
        tabs.append(
            {
                "id": f"analysis-{number}",
                "name": name,
                "summary": words.time_summary(analysis),
                "bound": words.overall_bound(analysis),
            }
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
    phases = list(dict.fromkeys(row.phase for row in rows))
    return {
        "id": f"analysis-{number}",
        "number": number,
        "template": "section.html.j2",
        "analysis": analysis,
        "bound": words.overall_bound(analysis),
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
        "timeline": timeline(analysis),
        "marks": marks or {},
        "scene": pack(analysis, marks),
    }


def _roofline(analysis: Analysis, number: int) -> dict[str, Any] | None:
    """Draw the roofline, and tell the script where its axes lie so that it finds the points."""
    if analysis.device is None:
        return None
    ax = plots.roofline(analysis, plots.column_axes(3.5, left=0.55, width=_FIGURE_INCHES))
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
    return _inline(plots.layer_times(analysis, ax), analysis, f"a{number}-times-", "time by layer")


def _memory(analysis: Analysis, number: int) -> Markup | None:
    if analysis.live_memory is None:
        return None
    ax = plots.column_axes(2.4, left=0.48, width=_FIGURE_INCHES)
    return _inline(plots.memory(analysis, ax), analysis, f"a{number}-memory-", "bytes alive")


def _inline(ax: Axes, analysis: Analysis, prefix: str, what: str) -> Markup:
    # The markup is matplotlib's own, parsed and written out again; all text in it is escaped.
    return Markup(inline_svg(ax, prefix=prefix, label=f"{what} of {words.title(analysis)}"))


def _strips(analysis: Analysis) -> list[_Strip]:
    """Set bracket, whole and sum of layers side by side on one scale of time."""
    totals, latency = analysis.totals, analysis.latency
    longest = max(
        totals.serial_time_s or 0.0,
        totals.layers_time_s or 0.0,
        totals.expected_high_s or 0.0,
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
    if totals.expected_time_s is not None:
        low, high = totals.expected_low_s, totals.expected_high_s
        assert low is not None
        assert high is not None
        strips.append(
            _Strip(
                name="expected",
                value=f"{seconds(low)} to {seconds(high)}",
                source=f"estimated: {seconds(totals.expected_time_s)}, from kernels timed here",
                spans=((share(low), share(high - low), "bracket", ""),),
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
                source="measured: each layer compiled alone" + _unmeasured(analysis),
                spans=tuple(_stacked(analysis, longest)),
            )
        )
    return strips


def _unmeasured(analysis: Analysis) -> str:
    split = any(r.leaf and r.time_s and r.time_source != "measured" for r in analysis.layer_records)
    return ", or a share of one that was" if split else ""


def _stacked(analysis: Analysis, longest: float) -> list[tuple[float, float, str, str]]:
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
