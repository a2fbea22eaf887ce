"""Sweeps, fusion, overlap and scaling studies, and device comparisons as sections of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.reporting.figure import inline_svg
from edgegraph.reporting.html_table import HtmlCell, HtmlTable, html_parts
from edgegraph.reporting.presenters import Study, study_table
from edgegraph.reporting.timeline import Chart, schedule_chart
from edgegraph.reporting.words import sentence, where_made
from edgegraph.results.verdicts import HELPS, HURTS, NO_DIFFERENCE
from edgegraph.studies.devices.result import DeviceComparison
from edgegraph.studies.fusion.result import SAME, FusionStudy
from edgegraph.studies.overlap.present import sentences
from edgegraph.studies.overlap.result import OverlapStudy
from edgegraph.studies.scaling.result import Scaling
from edgegraph.studies.sweep.result import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySection:
    """What the page shows of one study.

    Attributes:
        title: Names it among others.
        headline: What it found, in one sentence: its beginning, what matters most, its end.
        lead: What else it says, in sentences.
        figure: Its plot; None where there is nothing to draw.
        figure_heading: What the plot shows.
        schedule: The schedule of an overlap study, where it has times.
        parts: Its tables, and lines between them.
        ledger: Where the figures come from, as names and sentences.
    """

    title: str
    headline: tuple[str, str, str]
    lead: tuple[str, ...]
    figure: Markup | None
    figure_heading: str
    schedule: Chart | None
    parts: tuple[HtmlTable | HtmlCell, ...]
    provenance: tuple[tuple[str, str], ...]


def study_section(study: Study, number: int) -> dict[str, Any]:
    """Gather what the template shows of one study.

    Args:
        study: Any.
        number: Its place on the page.
    """
    title, lead = study_title(study), _lead(study)
    axes = _axes(study)
    figure = None
    if axes is not None:
        # The markup is matplotlib's own, parsed and written out again; all text in it is escaped.
        figure = Markup(inline_svg(axes, prefix=f"s{number}-", label=title))
    schedule = study.schedule if isinstance(study, OverlapStudy) else None
    shown = StudySection(
        title=title,
        headline=_headline(study),
        lead=tuple(line if line.endswith(".") else sentence(line) for line in lead),
        figure=figure,
        figure_heading=_FIGURES[type(study)],
        schedule=schedule_chart(schedule, {}) if schedule and schedule.makespan_s else None,
        parts=tuple(_parts(study, lead)),
        provenance=tuple(_provenance(study)),
    )
    return {
        "id": f"study-{number}",
        "number": number,
        "template": "study.html.j2",
        "study": shown,
        "scene": None,
    }


def study_tab(study: Study, number: int, *, named: bool) -> dict[str, str | None]:
    """Name a study, and say what it found in two or three words.

    Args:
        study: Any.
        number: Its place on the page.
        named: Whether to name the workload too, where the page shows several.
    """
    name = study_title(study) if named else _what(study)
    return {"id": f"study-{number}", "name": name, "summary": _found(study), "bound": None}


def study_title(study: Study) -> str:
    """Name a study: ``small_cnn, sweep``; a comparison of devices by all its workloads."""
    return f"{', '.join(workloads(study))}, {_what(study)}"


def workloads(study: Study) -> tuple[str, ...]:
    """Name the workloads that a study is about."""
    if isinstance(study, DeviceComparison):
        return tuple(dict.fromkeys(row.workload for row in study.rows))
    return (study.workload,)


_FIGURES: dict[type[Study], str] = {
    Sweep: "Latency and throughput over the batch size",
    FusionStudy: "Bytes and latency, by how much is fused",
    OverlapStudy: "Layers in their brackets",
    DeviceComparison: "Time by device",
    Scaling: "Speedup, and what a step consists of, over the chips",
}
_FUSION = {
    HELPS: "helps",
    HURTS: "hurts",
    NO_DIFFERENCE: "makes no difference to",
    SAME: "changes nothing in",
}


def _what(study: Study) -> str:
    match study:
        case Sweep():
            return "sweep"
        case FusionStudy():
            return f"fusion{_at(study.batch, ', batch')}"
        case OverlapStudy():
            return f"overlap{_at(study.batch, ', batch')}"
        case DeviceComparison():
            return "devices"
        case Scaling():
            return "scaling"


def _at(batch: int | None, words: str) -> str:
    return "" if batch is None else f"{words} {batch}"


def _span(sweep: Sweep) -> str:
    batches = sorted({point.batch for point in sweep.points})
    if not batches:
        return "no batch"
    ends = dict.fromkeys((batches[0], batches[-1]))
    return f"batch {' to '.join(map(str, ends))}"


def _headline(study: Study) -> tuple[str, str, str]:
    match study:
        case Sweep():
            most = max((point.throughput_per_s or 0.0 for point in study.points), default=0.0)
            swept = f"{study.workload} over {_span(study)}"
            if not most:
                return f"{swept}: ", "nothing was measured", "."
            return f"{swept} reaches ", f"{si(most)}/s", "."
        case FusionStudy():
            name = f"{study.workload}{_at(study.batch, ' at batch')}"
            if study.verdict is None or study.verdict not in _FUSION:
                why = "not measured" if study.verdict is None else "too noisy for a verdict"
                return f"What fusion does to {name}: ", why, "."
            return "Fusion ", _FUSION[study.verdict], f" {name}."
        case OverlapStudy():
            place = "" if study.whole is None else f", {study.whole.place} its roofline bracket"
            name = f"{study.workload}{_at(study.batch, ' at batch')}"
            return f"{name} takes ", seconds(study.latency.median_s), f"{place}."
        case DeviceComparison():
            names = ", ".join(workloads(study))
            timed = [row for row in study.rows if row.low_s is not None]
            if not timed:
                return f"{names}: ", "no device has figures", "."
            best_row = min(timed, key=lambda row: (row.low_s or 0.0) / (row.batch or 1))
            at_least = f"{seconds(best_row.low_s)}{_at(best_row.batch, ' at batch')}"
            name = best_row.workload
            return f"{name} can be fastest on ", best_row.device, f": at least {at_least}."
        case Scaling():
            known = [point for point in study.points if study.speedup(point)]
            name = f"{study.workload} on {study.target}"
            if not known:
                return f"{name}: ", "no mesh has figures", "."
            best = max(known, key=lambda point: point.throughput_per_s or 0.0)
            rate = f"{si(best.throughput_per_s)}/s"
            return f"{name} reaches ", rate, f" on {best.chips} chip{'s' * (best.chips != 1)}."


def _found(study: Study) -> str:
    match study:
        case Sweep():
            return _span(study)
        case FusionStudy():
            return study.verdict or "not measured"
        case OverlapStudy():
            return seconds(study.latency.median_s)
        case DeviceComparison():
            count = len({row.device for row in study.rows})
            return f"{count} device{'s' * (count != 1)}"
        case Scaling():
            return f"{max((point.chips for point in study.points), default=0)} chips"


def _lead(study: Study) -> tuple[str, ...]:
    match study:
        case Sweep() | FusionStudy() | Scaling():
            return study.conclusions
        case OverlapStudy():
            return tuple(sentences(study))
        case DeviceComparison():
            return ()


def _axes(study: Study) -> Axes | None:
    """Draw the study's own plot; None where it has nothing to draw."""
    match study:
        case Sweep():
            measured = any(point.latency is not None for point in study.points)
            return study.plot()[0] if measured else None
        case FusionStudy():
            return study.plot()[0]
        case OverlapStudy():
            return None if study.whole is None else study.plot()
        case DeviceComparison():
            timed = any(row.low_s and row.high_s for row in study.rows)
            return study.plot() if timed else None
        case Scaling():
            return study.plot()[0] if any(map(study.speedup, study.points)) else None


def _parts(study: Study, lead: Sequence[str]) -> list[HtmlTable | HtmlCell]:
    """Return what the terminal shows, without its title and what the lead says already."""
    parts = study_table(study, wide=True).renderables
    titled = parts[1:] if isinstance(parts[0], Text) else parts
    return [
        part for part in html_parts(titled) if isinstance(part, HtmlTable) or part.text not in lead
    ]


def _provenance(study: Study) -> list[tuple[str, str]]:
    said = where_made(study.environment)
    if not isinstance(study, DeviceComparison):
        said.append(("compiled for", study.target))
    return [*said, ("made", study.environment.created_at)]
