"""Layers under their roofs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from edgegraph.device.device import MemoryLevel
from edgegraph.reporting.plots import roofline
from edgegraph.reporting.roofline_plot import _groups
from tests.reporting.conftest import MAKERS


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def marks(ax: Axes) -> list[tuple[float, float]]:
    """Return where layers stand: the marks that are neither lines nor the dots of ops."""
    return [points(line)[0] for line in ax.get_lines() if line.get_marker() in ("o", "s", "^", "D")]


def texts(ax: Axes) -> set[str]:
    return {text.get_text() for text in ax.texts}


def test_layers_stand_at_their_intensity_and_at_what_they_reached() -> None:
    ax = roofline(MAKERS["measured"]())
    # SmallCNN at batch 1: dense1 multiplies 1x3136 by 3136x256 and adds 256 biases, and reads
    # the 3,212,288 bytes of its parameters; every layer took 1 ms.
    flops = 2 * 3136 * 256 + 256
    x, y = min(marks(ax), key=lambda mark: abs(mark[1] / (flops / 1e-3) - 1))
    assert y == pytest.approx(flops / 1e-3, rel=1e-3)
    assert x == pytest.approx(flops / 3.23e6, rel=0.01)


def test_layers_without_measurement_stand_on_their_roof() -> None:
    analysis = MAKERS["forward"]()
    device = analysis.device
    assert device is not None
    peak, fastest = device.peak_flops_per_s["f32"], device.memory[0].bandwidth_bytes_per_s
    for x, y in marks(roofline(analysis)):
        assert y <= 1.0001 * min(peak, x * fastest)


def test_the_roofs_meet_at_the_ridge_points() -> None:
    ax = roofline(MAKERS["measured"]())
    ends = {
        (round(x, 6), y)
        for line in ax.get_lines()
        if len(points(line)) == 2
        for x, y in points(line)
    }
    # 100 GFLOP/s over 100 GB/s and over 10 GB/s.
    assert (1.0, 100e9) in ends
    assert (10.0, 100e9) in ends
    assert any("f32 100 GFLOP/s" in text for text in texts(ax))


def test_axes_are_logarithmic_and_named() -> None:
    ax = roofline(MAKERS["measured"]())
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel().startswith("arithmetic intensity (FLOP/byte)")
    assert ax.get_ylabel() == "FLOP/s reached"
    assert math.log10(ax.get_xlim()[1] / ax.get_xlim()[0]) > 2


def level(name: str, rate: float) -> MemoryLevel:
    return MemoryLevel(name=name, size_bytes=None, bandwidth_bytes_per_s=rate)


def test_bandwidths_that_are_close_share_a_label() -> None:
    # 159 is less than 1.6 times 100, and 161 is more.
    for rate, names in ((159e9, [["L2", "DRAM"]]), (161e9, [["L2"], ["DRAM"]])):
        groups = _groups([level("DRAM", 100e9), level("L2", rate)])
        assert [[each.name for each in group] for group in groups] == names


def test_axes_reach_beyond_the_layers_and_the_ridge_points() -> None:
    analysis = MAKERS["forward"]()
    dense = tuple(row for row in analysis.layer_records if row.layer == "SmallCNN/dense2")
    ax = roofline(replace(analysis, layer_records=dense))
    # The ridge points are at 1 and 10 FLOP/byte: a sixtieth of the one, thirty times the other.
    assert ax.get_xlim() == pytest.approx((1 / 60, 300))
    assert ax.get_ylim()[1] == pytest.approx(4 * 100e9)
