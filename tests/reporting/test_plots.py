from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgegraph.errors import InputError
from edgegraph.reporting.figure import save_figure
from edgegraph.reporting.plots import layer_times, roofline
from edgegraph.results.kinds import KINDS
from tests import analyses
from tests.reporting.conftest import MAKERS

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def texts(ax: Axes) -> set[str]:
    return {text.get_text() for text in ax.texts}


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def marks(ax: Axes) -> list[tuple[float, float]]:
    """Return where layers stand: the marks that are neither lines nor the dots of ops."""
    return [points(line)[0] for line in ax.get_lines() if line.get_marker() in ("o", "s", "^", "D")]


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


def test_bars_are_as_long_as_the_times_and_brackets_run_from_max_to_sum() -> None:
    analysis = MAKERS["measured"]()
    leaves = [row for row in analysis.layer_records if row.leaf]
    ax = layer_times(analysis)
    assert ax.get_xlabel() == "time (ms), measured alone; % of its roof"
    widths = [bar.get_width() for bar in ax.patches]  # type: ignore[attr-defined]  # all are bars
    assert widths == pytest.approx([1.0] * len(leaves))
    brackets = {tuple(x for x, _ in points(line)) for line in ax.get_lines()}
    for row in leaves:
        compute, memory = 1e3 * (row.compute_time_s or 0), 1e3 * (row.memory_time_s or 0)
        if compute + memory:
            assert any(
                low == pytest.approx(max(compute, memory))
                and high == pytest.approx(compute + memory)
                for low, high in brackets
            )


def test_estimates_are_hollow_and_say_so() -> None:
    ax = layer_times(MAKERS["forward"]())
    assert "estimated" in ax.get_xlabel()
    assert all(to_rgba(bar.get_facecolor())[3] == 0 for bar in ax.patches)
    assert all(text.startswith("~") for text in texts(ax))


@pytest.mark.parametrize("name", KINDS["analysis"].figures)
def test_a_plot_takes_axes_and_gives_them_back(name: str) -> None:
    ax = Figure().subplots()
    assert MAKERS["phases"]().plot(name, ax) is ax


@pytest.mark.parametrize("kind", MAGIC)
def test_figures_are_written_in_three_formats_the_same_every_time(
    kind: str, tmp_path: Path
) -> None:
    first = save_figure(roofline(MAKERS["hostile"]()), tmp_path / f"first.{kind}").read_bytes()
    again = save_figure(roofline(MAKERS["hostile"]()), tmp_path / f"again.{kind}").read_bytes()
    assert first.startswith(MAGIC[kind])
    assert first == again


def test_markup_and_dollars_in_names_stay_text(tmp_path: Path) -> None:
    path = save_figure(layer_times(MAKERS["hostile"]()), tmp_path / "plot.svg")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
    assert "img" not in tags
    names = [label.get_text() for label in layer_times(MAKERS["hostile"]()).get_yticklabels()]
    assert any(name.endswith(analyses.HOSTILE[-10:]) for name in names)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.png, \.svg or \.pdf"):
        save_figure(roofline(MAKERS["forward"]()), tmp_path / "plot.bmp")


def test_axes_are_logarithmic_and_named() -> None:
    ax = roofline(MAKERS["measured"]())
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel().startswith("arithmetic intensity (FLOP/byte)")
    assert ax.get_ylabel() == "FLOP/s reached"
    assert math.log10(ax.get_xlim()[1] / ax.get_xlim()[0]) > 2
