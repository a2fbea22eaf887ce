"""How one kind of result is shown: every kind brings a presenter; a study makes its own here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from markupsafe import Markup
from rich.console import Group, RenderableType
from rich.text import Text

from edgegraph.reporting.figure import inline_svg
from edgegraph.reporting.table_kit import HtmlCell, HtmlTable, html_parts
from edgegraph.reporting.timeline import Chart, schedule_chart
from edgegraph.reporting.words import sentence, where_made
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Study
from edgegraph.results.schedule import Schedule

Result = TypeVar("Result")

Section = Mapping[str, Any]
"""What a template shows; ``id``, ``number``, ``template`` and ``scene`` are in every one."""

Tab = dict[str, str | None]
"""What chooses a section: its ``id``, ``name``, ``summary`` and ``bound``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter(Generic[Result]):
    """The functions that show results of one kind.

    Attributes:
        table: At the terminal; the second argument says whether there is room for long names and
            every column, None lets the terminal's width say.
        section: On a page, at the place that the second argument counts.
        tab: What chooses that section; the third argument says whether the page shows several
            workloads, so that they have to be named.
        notebook: As HTML, where the result itself has no such form.
        markdown: For a pull request; None where there is no such form.
    """

    table: Callable[[Result, bool | None], RenderableType]
    section: Callable[[Result, int], Section]
    tab: Callable[[Result, int, bool], Tab]
    workloads: Callable[[Result], tuple[str, ...]]
    headline: Callable[[Result], str]
    notebook: Callable[[Result], str] | None = None
    markdown: Callable[[Result], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a study says on a page beside its tables.

    Attributes:
        name: What tells it from other results of its workloads: ``fusion, batch 8``.
        target: None where it was compiled for several.
        headline: What it found, in one sentence: its beginning, what matters most, its end.
        found: The same in two or three words.
        lead: What else it says, in sentences.
        figure: What its plot shows; None where there is nothing to draw.
        more: What further figures show, by their names.
        schedule: Drawn too, if it has times.
    """

    name: str
    workloads: tuple[str, ...]
    target: str | None
    environment: Environment
    headline: tuple[str, str, str]
    found: str
    lead: Sequence[str] = ()
    figure: str | None
    more: Mapping[str, str] = field(default_factory=dict)
    schedule: Schedule | None = None

    @property
    def title(self) -> str:
        """The study by name: ``small_cnn, sweep``."""
        return f"{', '.join(self.workloads)}, {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySection:
    """What the template shows of one study; see `Summary`."""

    title: str
    headline: tuple[str, str, str]
    lead: tuple[str, ...]
    figures: tuple[tuple[str, Markup], ...]
    schedule: Chart | None
    parts: tuple[HtmlTable | HtmlCell, ...]
    provenance: tuple[tuple[str, str], ...]


AnyStudy = TypeVar("AnyStudy", bound=Study)


def study_presenter(
    table: Callable[[AnyStudy, bool | None], Group], summary: Callable[[AnyStudy], Summary]
) -> Presenter[AnyStudy]:
    """Make the presenter of a study from its tables at the terminal and its summary."""

    def section(study: AnyStudy, number: int) -> Section:
        return {
            "id": f"study-{number}",
            "number": number,
            "template": "study.html.j2",
            "study": _section(study, number, summary(study), table(study, True)),
            "scene": None,
        }

    def tab(study: AnyStudy, number: int, named: bool) -> Tab:
        said = summary(study)
        name = said.title if named else said.name
        return {"id": f"study-{number}", "name": name, "summary": said.found, "bound": None}

    return Presenter(
        table=table,
        section=section,
        tab=tab,
        workloads=lambda study: summary(study).workloads,
        headline=lambda study: summary(study).title,
    )


def _section(study: Study, number: int, said: Summary, table: Group) -> StudySection:
    headings = {None: said.figure} if said.figure is not None else {}
    figures = []
    for name, heading in (headings | dict(said.more)).items():
        axes = study.draw(name)
        axes = axes[0] if isinstance(axes, tuple) else axes
        prefix = f"s{number}-{name}-" if name else f"s{number}-"
        # The markup is matplotlib's own, parsed and written out again; all text in it is escaped.
        figures.append((heading, Markup(inline_svg(axes, prefix=prefix, label=said.title))))
    # What the terminal shows, without its title and what the lead says already.
    shown = table.renderables[isinstance(table.renderables[0], Text) :]
    schedule = said.schedule
    target = [] if said.target is None else [("compiled for", said.target)]
    return StudySection(
        title=said.title,
        headline=said.headline,
        lead=tuple(line if line.endswith(".") else sentence(line) for line in said.lead),
        figures=tuple(figures),
        schedule=schedule_chart(schedule, {}) if schedule and schedule.makespan_s else None,
        parts=tuple(
            part
            for part in html_parts(shown)
            if isinstance(part, HtmlTable) or part.text not in said.lead
        ),
        provenance=(
            *where_made(said.environment), *target, ("made", said.environment.created_at),
        ),
    )  # fmt: skip


def at_batch(batch: int | None, words: str = ", batch") -> str:
    """Name a batch size after what it belongs to; nothing where there is none."""
    return "" if batch is None else f"{words} {batch}"
