"""An analysis in a notebook."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from edgegraph.analysis.findings import find
from edgegraph.reporting.answer import headline, start
from edgegraph.reporting.notebook import notebook_html
from tests import analyses


def test_an_analysis_says_first_in_a_notebook_what_it_says_first_at_the_terminal() -> None:
    analysis = analyses.measured(analyses.small_cnn(32), 0.1)
    analysis = replace(analysis, findings=find(analysis))
    said = notebook_html(analysis)
    first = start(analysis)
    assert first is not None
    assert said.index(escape(headline(analysis))) < said.index(escape(first))
    assert said.index(escape(first)) < said.index("<table")
    # With its unit, where the frame has bare seconds.
    assert ">100 ms<" in said
    assert escape(analysis.findings[0].try_next) in said
