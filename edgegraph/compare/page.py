"""A diff as one self-contained HTML page, with both analyses, and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from edgegraph.compare import words
from edgegraph.compare.present import diff_table, markdown
from edgegraph.compare.result import SAME, Diff
from edgegraph.hlo.op_name import scope_of
from edgegraph.reporting.analysis_page import analysis_section, analysis_tab
from edgegraph.reporting.page import render, write
from edgegraph.reporting.presenters import Presenter, Section, Tab
from edgegraph.results.analysis import Analysis

MOST_OPS = 500
"""Changes of ops that stand on the page."""

_SIDES = ("before", "after")


def write_diff_page(diff: Diff, before: Analysis, after: Analysis, path: str | Path) -> Path:
    """Write a page that shows what changed, and both analyses with their graphs.

    Layers that differ are marked in both.

    Args:
        diff: What `edgegraph.diff` returned for them.
        before: The one analysis.
        after: The other.
        path: Where to write; an existing file is replaced as a whole.

    Returns:
        The path written.

    Raises:
        InputError: The path cannot be written.
    """
    return write(diff_page(diff, before, after), path)


def diff_page(diff: Diff, before: Analysis, after: Analysis) -> str:
    """Return the page as text; see `write_diff_page`."""
    sections, tabs = [_section(diff, 0)], [_tab(diff, 0, False)]
    for number, (analysis, side) in enumerate(zip((before, after), _SIDES, strict=True)):
        sections.append(analysis_section(analysis, number, _marks(diff, side)))
        name = f"{side}: {getattr(diff, side).title}"
        tabs.append({**analysis_tab(analysis, number, True), "name": name})
    hint = " Layers that differ are marked on the left, and framed in the graphs."
    return render(sections, tabs, _title(diff), hint)


def _title(diff: Diff) -> str:
    return f"{diff.before.title} → {diff.after.title}"


def _section(diff: Diff, number: int) -> Section:
    return {
        "id": f"diff{number or ''}",
        "number": number,
        "template": "diff.html.j2",
        "scene": None,
        "diff": diff,
        "words": words,
        "op_changes": diff.op_changes[:MOST_OPS],
        "layers": words.shown_layers(diff, everything=True),
        "figures": words.shown_figures(diff, everything=True),
        "timed": any(words.time_change(row) for row in diff.layer_changes),
    }


def _tab(diff: Diff, number: int, named: bool) -> Tab:
    count = words.plural(len(diff.op_changes), "change")
    return {
        "id": f"diff{number or ''}",
        "name": f"what changed: {_title(diff)}" if named else "what changed",
        "summary": "nothing" if diff.empty else f"{count} of ops",
        "bound": None,
    }


def _marks(diff: Diff, side: str) -> dict[tuple[str, str], str]:
    """Describe what happened to the layers of one side, by path and phase."""
    marks: dict[tuple[str, str], str] = {}
    for row in diff.layer_changes:
        figures = getattr(row, side)
        if figures is not None and row.kind != SAME:
            marks[figures.layer, row.phase] = row.kind
            marks.setdefault((scope_of(figures.layer), row.phase), row.kind)
    return marks


def _notebook(diff: Diff) -> str:
    """Show the whole and the layers that differ in a notebook."""
    figures = [
        (
            words.NAMES[figure.name],
            *(words.value(figure, side) for side in _SIDES),
            words.change(figure),
        )
        for figure in words.shown_figures(diff)
    ]
    layers = diff.frame[diff.frame["change"] != SAME].dropna(axis="columns", how="all")
    return (
        f"<p><b>{escape(words.headline(diff))}</b></p>"
        + _table(("whole", *_SIDES, "change"), figures)
        + (layers.to_html(na_rep="?", index=False) if len(layers) else "")
    )


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


PRESENTER = Presenter(
    table=lambda diff, wide: diff_table(diff),
    section=_section,
    tab=_tab,
    workloads=lambda diff: (_title(diff),),
    headline=words.headline,
    notebook=_notebook,
    markdown=markdown,
)
