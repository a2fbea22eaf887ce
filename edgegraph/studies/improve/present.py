"""What was tried to make a program faster: at the terminal, as a figure, on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import ratio, seconds
from edgegraph.errors import InputError
from edgegraph.reporting.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    MOST_BARS,
    ROW_INCHES,
    SMALL_POINTS,
    column_axes,
    name_rows,
    names_margin,
    tidy,
    write_title,
    write_values,
)
from edgegraph.reporting.palette import BOUND_COLOURS, MUTED, NEUTRAL
from edgegraph.reporting.presenters import Summary, at_batch, study_presenter
from edgegraph.studies.improve.result import Improvement, by_rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def improvement_table(study: Improvement, wide: bool | None = None) -> Group:
    """Show what the whole gained, and every rule that was tried.

    Args:
        study: Any.
        wide: Whether there is room for what each rule says of NaN and the like.

    Returns:
        A renderable that is readable at 80 columns.
    """
    title = f"{study.workload}{at_batch(study.batch)}, {study.target}"
    parts: list[RenderableType] = [Text(title, "bold")]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("change", overflow="ellipsis", no_wrap=True, min_width=24)
    elsewhere = any(row.gain_here for row in by_rule(study))
    headings = ("sites", "before", "after", "gain", *["here"] * elsewhere, "error")
    for heading in headings:
        least = 7 if heading in ("before", "after") else 5
        table.add_column(heading, justify="right", no_wrap=True, min_width=least)
    table.add_column("kept", no_wrap=True)
    for row in by_rule(study):
        table.add_row(
            row.title,
            str(row.executions),
            seconds(row.plain_s),
            seconds(row.form_s),
            f"{ratio(row.plain_s / row.form_s)}x",
            *[f"{ratio(row.gain_here)}x" if row.gain_here else "?"] * elsewhere,
            f"{row.difference:.0e}" if row.difference else "0",
            "yes" if row.kept else f"no: {row.reason}",
            style="" if row.kept else "dim",
        )
    if study.changes:
        parts.append(table)
    parts += [Text(line) for line in study.conclusions]
    return Group(*parts)


def draw(study: Improvement, ax: Axes | None = None, *, width: float = COLUMN_INCHES) -> Axes:
    """Draw the time of all changed sites before and after, rule by rule.

    Args:
        study: A study in which something was kept.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches.

    Returns:
        The axes drawn on; times in seconds, of one call, each site timed alone.

    Raises:
        InputError: Nothing was kept.
    """
    rows = [row for row in by_rule(study) if row.kept][:MOST_BARS]
    if not rows:
        raise InputError(f"nothing was kept that makes {study.workload!r} faster")
    names = [row.title for row in rows]
    if ax is None:
        height = 0.9 + 1.4 * ROW_INCHES * max(2, len(rows))
        ax = column_axes(height, left=names_margin(names), top=0.3, width=width)
        write_title(ax, f"{study.workload}: changed sites, timed alone")
    for place, row in enumerate(rows):
        ax.barh(place - 0.2, row.plain_s, 0.36, color=NEUTRAL)
        ax.barh(place + 0.2, row.form_s, 0.36, color=BOUND_COLOURS["compute"])
        ax.annotate(
            f"{ratio(row.plain_s / row.form_s)}x", (row.plain_s, place), (4, 0), va="center",
            textcoords="offset points", fontsize=SMALL_POINTS, color=MUTED, annotation_clip=False,
        )  # fmt: skip
    ax.set_xlim(0, max(row.plain_s for row in rows) * 1.15)
    write_values(ax.xaxis, seconds)
    name_rows(ax, names, parse_math=False)
    ax.set_xlabel("time of all its sites in one call: before (grey), after", fontsize=FONT_POINTS)
    tidy(ax)
    return ax


def _summary(study: Improvement) -> Summary:
    at = at_batch(study.batch, " at batch")
    return Summary(
        name=f"improved{at_batch(study.batch)}",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=(f"{study.workload}{at}: ", study.found, "."),
        found=study.found,
        lead=study.conclusions,
        figure=None if study.speedup is None else "Changed sites before and after, timed alone",
    )


PRESENTER = study_presenter(improvement_table, _summary)
