"""Speedup and efficiency of a scaling study, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgegraph as eg
from tests.studies.scalings import MADE


def test_speedup_and_efficiency_by_hand() -> None:
    """One chip does 10 in 1 ms, four 40 in 1.25 ms: 3.2 times as many, 80 % of perfect."""
    first, four, sixteen, failed = MADE.points
    assert MADE.speedup(first) == 1
    assert MADE.efficiency(four) == pytest.approx(0.8)
    assert MADE.speedup(sixteen) == pytest.approx(4)
    assert MADE.speedup(failed) is None
    assert MADE.conclusions == (
        "weak scaling: 25 % of perfect at 16 chips; the network binds from data 16 on",
    )


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    assert eg.load(MADE.save(tmp_path / "scaling.edgegraph")) == MADE
    assert list(MADE.frame["chips"]) == [1, 4, 16, 64]
    assert MADE.document["points"][1]["efficiency"] == pytest.approx(0.8)
