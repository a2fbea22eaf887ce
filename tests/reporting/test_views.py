from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from edgegraph.reporting.views import in_view, largest_first, view_line, weight
from edgegraph.results.analysis import Analysis, LayerRecord
from tests import analyses
from tests.plain_programs import forces, line_of


def by(analysis: Analysis, view: str) -> Analysis:
    return replace(analysis, shown_by=view)


def test_layers_stay_as_they_are() -> None:
    analysis = analyses.small_cnn(1)
    assert in_view(analysis) is analysis
    assert view_line(analysis) is None


@pytest.mark.parametrize("view", ["function", "line"])
def test_other_rows_stand_with_the_largest_first_and_add_up(view: str) -> None:
    analysis = by(analyses.physics(), view)
    rows = in_view(analysis).layer_records
    assert sorted(row.layer for row in rows) == sorted(
        row.layer for row in analysis.records_by(view)
    )
    tops = [row.time_s or 0.0 for row in rows if row.depth == 0]
    assert tops == sorted(tops, reverse=True)
    assert in_view(analysis).totals.flops_coverage == 1.0
    assert in_view(analysis).totals.layers_time_s is None


def test_small_ones_are_left_out_unless_asked_for() -> None:
    analysis = by(analyses.physics(), "line")
    every, most = (in_view(analysis, everything=all).layer_records for all in (True, False))
    whole = sum(row.time_s or 0.0 for row in every if row.leaf)
    assert {row.layer for row in every} - {row.layer for row in most} == {
        row.layer for row in every if (row.time_s or 0.0) < 0.005 * whole
    }


def test_a_sentence_says_by_what_they_are_and_which_takes_most() -> None:
    analysis = analyses.physics()
    said = view_line(analysis)
    assert said is not None
    assert said.startswith("by function, since layers cover 0 % of the time; --by layer shows them")
    assert ". forces takes " in said
    said = view_line(by(analysis, "line"))
    assert said is not None
    rows = {row.source: row for row in analysis.records_by("line") if row.leaf}  # type: ignore[attr-defined]  # of lines
    most = max(rows.values(), key=lambda row: row.time_s or 0.0)
    assert most is rows[line_of(forces, "return")]
    name = line_of(forces, "return").rpartition("/")[2]
    assert said.startswith(f"by line. {name} takes ")
    assert said.endswith(" of the time: return -jnp.sum(apart / squared[..., None], axis=1)")


def test_without_times_flops_say_what_matters() -> None:
    rows = analyses.without_device().layer_records
    conv2 = next(row for row in rows if row.layer == "SmallCNN/conv2")
    assert weight(rows)(conv2) == conv2.flops


def test_siblings_are_sorted_with_what_is_below_them() -> None:
    rows = analyses.gradient().layer_records

    def key(row: LayerRecord) -> float:
        return row.flops or 0

    found = largest_first(rows, key)
    assert sorted(map(id, found)) == sorted(map(id, rows))
    for above, row in pairwise(found):
        if row.depth > above.depth:
            assert row.layer.startswith(above.layer)
        elif row.depth == above.depth and row.phase == above.phase:
            assert key(row) <= key(above)
