"""One analysis on the page: its headline and its strips of time."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path

import jax
import pytest

import edgegraph as eg
from edgegraph.reporting.analysis_page import analysis_section, analysis_tab
from edgegraph.reporting.page import page
from edgegraph.results.analysis import Analysis
from tests import analyses
from tests.cli.conftest import FINDING
from tests.reporting.conftest import MAKERS
from tests.reporting.test_page import Reader


def test_expected_time_and_shares_of_layers_stand_on_one_scale() -> None:
    measured = MAKERS["measured"]()
    leaves = [row for row in measured.layer_records if row.leaf and row.time_s]
    longest = sum(row.time_s or 0 for row in leaves)
    totals = replace(
        measured.totals,
        layers_time_s=longest,
        expected_time_s=0.3 * longest,
        expected_low_s=0.25 * longest,
        expected_high_s=0.5 * longest,
    )
    split = [
        replace(row, time_source="estimated") if row.leaf else row for row in measured.layer_records
    ]
    text = page([replace(measured, totals=totals, layer_records=tuple(split))])
    strips = {
        name: re.findall(r'style="left:([\d.]+)%;width:([\d.]+)%"', rest)
        for name, rest in re.findall(r'strip-name">([^<]+)<(.*?)strip-value', text, re.DOTALL)
    }
    assert strips["expected"] == [("25.0", "25.0")]
    layers = strips["sum of the layers"]
    assert len(layers) == len(leaves)
    assert sum(float(width) for _, width in layers) == pytest.approx(100, abs=0.01)


def test_the_headline_says_what_binds_and_how_long() -> None:
    text = page([MAKERS["measured"]()])
    # Six leaves of 1 ms each, of which the whole takes four fifths.
    leaves = sum(row.leaf for row in MAKERS["measured"]().layer_records)
    headline = re.search(r"<h2.*?</h2>", text, re.DOTALL)
    assert headline is not None
    assert "4.12&#160;ms" in headline[0]  # a number and its unit stay on one line
    words = " ".join("".join(Reader(headline[0]).text).split())
    assert words == (
        f"small_cnn at batch 1 takes {0.8 * leaves:g} ms (3.88 to 4.12 ms), bound by memory"
        " traffic, at 8 % of that roof, in kernels far under it."
    )


def test_findings_beyond_four_are_folded_away() -> None:
    analysis = MAKERS["forward"]()
    section = analysis_section(replace(analysis, findings=(FINDING,) * 6), 0)
    assert (len(section["first_findings"]), len(section["more_findings"])) == (4, 2)


def test_an_analysis_is_chosen_by_its_batch_unless_it_must_be_named() -> None:
    analysis = MAKERS["forward"]()
    assert analysis_tab(analysis, 0, named=False)["name"] == "batch 32"
    assert analysis_tab(analysis, 3, named=True)["name"] == "small_cnn, batch 32, cpu"
    assert analysis_tab(analysis, 3, named=True)["id"] == "analysis-3"


def test_thin_pieces_have_no_line_between_them() -> None:
    """A layer of 1.4 % of the sum is thin, one of 1.6 % is not."""
    measured = MAKERS["measured"]()
    leaves = [row for row in measured.layer_records if row.leaf and row.time_s]
    shares = {row.layer: 10.0 for row in leaves} | {leaves[0].layer: 1.4, leaves[1].layer: 1.6}
    rows = [
        replace(row, time_s=1e-3 * shares[row.layer]) if row.leaf and row.time_s else row
        for row in measured.layer_records
    ]
    totals = replace(measured.totals, layers_time_s=0.1, serial_time_s=None, expected_high_s=None)
    changed = replace(measured, layer_records=tuple(rows), totals=totals, latency=None)
    (strip,) = [each for each in analysis_section(changed, 0)["strips"] if "sum" in each.name]
    thin = ["thin" in kind for _, _, kind, _ in strip.spans]
    assert thin[:2] == [True, False]


def headings(analysis: Analysis) -> list[str]:
    """Return the headings of sections, and those of tables that are folded away."""
    return re.findall(r"<(?:h3|summary)>(.*?)</", page([analysis]))


def test_functions_stand_first_where_layers_cover_little_and_lines_are_folded() -> None:
    analysis = analyses.physics()
    found = headings(analysis)
    assert found.index("Functions") < found.index("Layers") < found.index("Lines of the code")
    found = headings(replace(analysis, shown_by="line"))
    assert found.index("Lines") < found.index("Layers") < found.index("Functions of the code")
    found = headings(MAKERS["measured"]())
    assert "Lines of the code" in found
    assert not {"Functions", "Lines", "Functions of the code"} & set(found)


def test_lines_of_the_code_are_text_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "hostile.py"
    line = f'    return x * 2.0, "{analyses.MARKUP}"'
    path.write_text(f"def twice(x):\n{line}[:0] and None\n", "utf-8")
    function = runpy.run_path(str(path))["twice"]
    analysis = eg.analyze(
        lambda x: function(x)[0], args=(jax.ShapeDtypeStruct((8,), "float32"),), name="hostile"
    )
    text = page([replace(analysis, shown_by="line")])
    assert "return x * 2.0, &#34;&lt;img src=x onerror=alert(1)&gt;&#34;[:0] and None" in text
    assert analyses.MARKUP not in text


def test_a_long_p90_does_not_squeeze_the_bars() -> None:
    analysis = MAKERS["measured"]()
    assert analysis.latency is not None
    median_s = analysis.latency.median_s
    totals = replace(analysis.totals, layers_time_s=None, traced_time_s=None, serial_time_s=None)

    def bars(p90_s: float) -> dict[str, float]:
        latency = replace(analysis.latency, p90_s=p90_s)  # type: ignore[type-var]
        changed = replace(analysis, latency=latency, totals=totals)
        (strip,) = [each for each in analysis_section(changed, 0)["strips"] if "whole" in each.name]
        return {kind: width for _, width, kind, _ in strip.spans}

    assert bars(1.1 * median_s) == pytest.approx({"whole": 100 / 1.1, "tail": 10 / 1.1}, abs=0.01)
    far = bars(40 * median_s)
    assert far == pytest.approx({"whole": 100 / 1.15, "tail beyond": 15 / 1.15}, abs=0.01)
