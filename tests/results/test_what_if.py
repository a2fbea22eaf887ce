"""Amdahl's arithmetic, by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgegraph.results.analysis import LayerRecord
from edgegraph.results.columns import frame as table
from edgegraph.results.compiled_together import WHAT_IF_COLUMNS, what_if
from edgegraph.results.roll_up import roll_up
from edgegraph.results.timing import LayerLatency
from tests import analyses
from tests.results.test_roll_up import BLANK, latency


def rows() -> tuple[LayerRecord, ...]:
    """Return layers of 60, 30 and 10 µs, whose roofs are 20, 30 and unknown."""
    ops = [
        replace(BLANK, name="a", layer="Net/a", compute_time_s=20e-6, memory_time_s=5e-6),
        replace(BLANK, name="b", layer="Net/b", compute_time_s=5e-6, memory_time_s=40e-6),
        replace(BLANK, name="c", layer="Net/c", compute_time_s=10e-6, memory_time_s=1e-6),
    ]
    measured = [
        LayerLatency(layer="Net/a", phase="forward", latency=latency(65e-6, 5e-6)),
        LayerLatency(layer="Net/b", phase="forward", latency=latency(35e-6, 5e-6)),
    ]
    return roll_up(ops, {}, measured)


def test_a_layer_at_its_roofline_would_save_what_lies_above_it() -> None:
    a, b, c = what_if(rows())
    assert (a.layer, b.layer, c.layer) == ("Net/a", "Net/b", "Net/c")
    assert a.time_s == pytest.approx(60e-6)
    assert a.roof_time_s == pytest.approx(20e-6)
    assert a.gain_s == pytest.approx(40e-6)
    # 40 of 60 + 30 + 10; Amdahl: 100 / 60.
    assert a.gain_share == pytest.approx(0.4)
    assert a.speedup == pytest.approx(100 / 60)
    assert (a.bound, a.time_source) == ("compute", "measured")


def test_a_layer_that_beats_its_roof_has_nothing_to_gain() -> None:
    b = what_if(rows())[1]
    assert [b.time_s, b.roof_time_s] == pytest.approx([30e-6, 40e-6])
    assert (b.gain_s, b.gain_share, b.speedup) == (0.0, 0.0, 1.0)


def test_what_was_not_measured_has_no_known_gain() -> None:
    c = what_if(rows())[2]
    assert c.time_source == "estimated"
    assert c.roof_time_s == pytest.approx(10e-6)
    assert (c.gain_s, c.gain_share, c.speedup) == (None, None, None)
    frame = table(what_if(rows()), WHAT_IF_COLUMNS)
    assert frame["gain_s"].isna().tolist() == [False, False, True]


def test_amdahl_for_all_layers_together() -> None:
    """Were every layer at its roof, the whole would take the sum of the roofs."""
    analysis = analyses.measured(analyses.small_cnn(32), 0.1)
    frame = analysis.what_if
    assert list(frame["gain_s"]) == sorted(frame["gain_s"], reverse=True)
    left = 1 - frame["gain_share"].sum()
    assert left * frame["time_s"].sum() == pytest.approx(frame["roof_time_s"].sum())
    assert list(frame.columns) == [
        "layer", "phase", "time_s", "roof_time_s", "gain_s", "gain_share", "speedup", "bound",
        "time_source",
    ]  # fmt: skip


def test_without_a_device_nothing_is_known() -> None:
    frame = analyses.without_device().what_if
    assert frame["gain_s"].isna().all()
    assert frame["roof_time_s"].isna().all()
