"""An analysis in a notebook: what the terminal says of it first, as HTML."""

from __future__ import annotations

from html import escape

from edgegraph.base.shown import shown
from edgegraph.reporting.answer import headline, listed, start, times, worth
from edgegraph.reporting.table_kit import html_table
from edgegraph.reporting.tables import rows_table
from edgegraph.reporting.words import sentence
from edgegraph.results.analysis import Analysis

_WIDTH = 120
"""Columns that a terminal would have."""


def notebook_html(analysis: Analysis) -> str:
    """Return headline, where to start, the rows with units, and the findings.

    `Analysis.layers` and `Analysis.by` are the raw figures.
    """
    lead = [f"<b>{_text(headline(analysis))}</b>", _text(start(analysis) or "")]
    order = times(analysis)
    after = [] if order is None else [_text(f"Times: {order}.")]
    found = "".join(
        f"<li>{_text(sentence(each.seen) if each.layer is None else f'{each.seen}.')}"
        f" {_text(worth(analysis, each))}<br>Try {_text(each.try_next)}.</li>"
        for each in listed(analysis)
    )
    findings = f"<ol>{found}</ol>" if found else ""
    paragraphs = "".join(f"<p>{each}</p>" for each in after)
    return f"<p>{'<br>'.join(filter(None, lead))}</p>{_table(analysis)}{paragraphs}{findings}"


def _text(text: str) -> str:
    return escape(shown(text))


def _table(analysis: Analysis) -> str:
    table = html_table(rows_table(analysis, _WIDTH))
    head = "".join(f"<th>{_text(column.heading)}</th>" for column in table.columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="white-space: pre; text-align: {"left" if column.words else "right"}">'
            f"{_text(cell.text)}</td>"
            for column, cell in zip(table.columns, row.cells, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
