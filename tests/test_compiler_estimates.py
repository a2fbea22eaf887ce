"""The tables of ``scripts/compiler_estimates.py``, on a network that compiles in seconds."""

from __future__ import annotations

import pytest

import edgegraph as eg
from edgegraph.compiler.targets import missing_packages, parse_target
from models.cnn import small_cnn
from scripts import compiler_estimates as tables


@pytest.mark.skipif(bool(missing_packages(parse_target("tpu:v5e"))), reason="no libtpu")
def test_the_estimates_stand_side_by_side() -> None:
    analysis = eg.analyze(small_cnn(), batch=32, target="tpu:v5e")
    totals = analysis.totals
    kernels = tables.kernels_of(analysis)
    figures = dict(tables.figures(analysis, kernels).to_numpy().tolist())
    low, roof, high, repaired, raw, cycles = figures.values()
    assert low <= roof <= high < cycles
    calls = int((analysis.ops["opcode"] == "custom-call").sum())
    assert repaired - raw == pytest.approx(1e3 * calls)
    parts = tables.by_part(analysis)
    assert parts["GMAC"].sum() == pytest.approx(totals.macs / 1e9, abs=0.01)
    most = tables.differing_most(kernels, 3)
    beyond = most["by cycles, µs"] - most["at the roof, µs"]
    assert len(most) == 3
    assert (beyond > 0).all()
