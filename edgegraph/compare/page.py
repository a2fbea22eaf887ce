"""A diff as one self-contained HTML page, with both analyses, and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from edgegraph.base.files import replacing
from edgegraph.compare import words
from edgegraph.compare.result import SAME, Diff
from edgegraph.hlo.op_name import scope_of
from edgegraph.reporting.page import page_section, page_tabs, render
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
    path = Path(path)
    text = diff_page(diff, before, after)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def diff_page(diff: Diff, before: Analysis, after: Analysis) -> str:
    """Return the page as text; see `write_diff_page`."""
    sections = [
        page_section(analysis, number, _marks(diff, side))
        for number, (analysis, side) in enumerate(zip((before, after), _SIDES, strict=True))
    ]
    tabs = page_tabs((before, after))
    for tab, side in zip(tabs, _SIDES, strict=True):
        tab["name"] = f"{side}: {getattr(diff, side).title}"
    count = words.plural(len(diff.op_changes), "change")
    changed = "nothing" if diff.empty else f"{count} of ops"
    tabs.insert(0, {"id": "diff", "name": "what changed", "summary": changed, "bound": None})
    return render(
        "diff.html.j2",
        sections,
        tabs,
        f"{diff.before.title} → {diff.after.title}",
        diff=diff,
        op_changes=diff.op_changes[:MOST_OPS],
        layers=words.shown_layers(diff, everything=True),
        figures=words.shown_figures(diff, everything=True),
        timed=any(words.time_change(row) for row in diff.layer_changes),
    )


def _marks(diff: Diff, side: str) -> dict[tuple[str, str], str]:
    """Describe what happened to the layers of one side, by path and phase."""
    marks: dict[tuple[str, str], str] = {}
    for row in diff.layer_changes:
        figures = getattr(row, side)
        if figures is not None and row.kind != SAME:
            marks[figures.layer, row.phase] = row.kind
            marks.setdefault((scope_of(figures.layer), row.phase), row.kind)
    return marks


def notebook(diff: Diff) -> str:
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
