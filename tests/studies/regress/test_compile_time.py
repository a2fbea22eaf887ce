"""The figures of compiling, as plain data."""

from __future__ import annotations

import pytest

from edgegraph.studies.regress.compile_time import CompileGrowth, LayerCompile


def test_a_scan_saves_all_but_one_layer() -> None:
    growth = CompileGrowth(
        version="0.1", layer="b0", repeats=4, exponent=None, interval=None, one_s=0.5, all_s=8.0
    )
    assert growth.saved_s == pytest.approx(7.5)


def test_the_ratio_of_a_layer_needs_both_versions() -> None:
    layer = LayerCompile(layer="b0", phase="forward", repeats=1, before_s=0.5, after_s=1.0)
    assert layer.ratio == pytest.approx(2.0)
    assert LayerCompile(layer="b0", phase="forward", repeats=1, after_s=1.0).ratio is None
