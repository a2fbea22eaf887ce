from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph.results.notes import analysis_notes, numbers, timed
from tests.analyses import latency, small_cnn


def test_only_known_numbers_are_noted() -> None:
    figures = {"a": 1, "b": 2.5, "c": None, "d": "memory", "e": True}
    assert numbers(figures.items()) == {"a": 1.0, "b": 2.5}


def test_a_measurement_brings_its_spread() -> None:
    # The middle half of 2 ms, within 3 % of it.
    found = timed(latency(2e-3), None)
    assert found["latency_s"] == 2e-3
    assert found["latency_iqr_s"] == pytest.approx(6e-5)
    assert timed(None, None) == {}


def test_an_analysis_is_noted_with_its_totals_and_its_machine() -> None:
    analysis = small_cnn()
    notes = analysis_notes(analysis)
    totals = analysis.totals
    assert notes.metrics["macs"] == totals.macs
    assert notes.metrics["bytes"] == totals.bytes_read + totals.bytes_written
    other = replace(analysis, environment=replace(analysis.environment, cores=999))
    assert analysis_notes(other).machine != notes.machine
