"""The table of a sweep."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from rich.console import Console

from edgegraph.errors import InputError
from edgegraph.reporting.figure import save_figure
from edgegraph.reporting.palette import PAPER
from edgegraph.studies.sweep.present import draw as draw_sweep
from edgegraph.studies.sweep.present import sweep_table
from edgegraph.studies.sweep.result import Sweep
from tests.studies.sweeps import failed, point, saturating, sweep


def printed(of: Sweep, width: int) -> str:
    console = Console(width=width, file=StringIO())
    with console.capture() as capture:
        console.print(sweep_table(of))
    return capture.get()


@pytest.mark.parametrize("width", [80, 119, 120, 160])
def test_the_table_fits_and_says_everything(width: int) -> None:
    text = printed(saturating(), width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text
    for said in ("160 to 220 µs", "batch 128: out of memory", "batch 64: NOISY, since made up"):
        assert said in text
    assert ("in flight" in text) == (width >= 120)


def marks(ax: Axes, marker: str = "o") -> list[tuple[float, float, str]]:
    """Return batch, height and fill of every point."""
    return [
        (
            float(np.asarray(line.get_xdata())[0]),
            float(np.asarray(line.get_ydata())[0]),
            to_hex(line.get_markerfacecolor()),
        )
        for line in ax.get_lines()
        if line.get_marker() == marker
    ]


def test_points_stand_where_they_were_measured() -> None:
    above, below = draw_sweep(saturating())
    assert [(x, y) for x, y, _ in marks(below)] == [
        (1, 7000), (2, 12000), (4, 15000), (8, 17500), (16, 18000), (32, 17800), (64, 16000),
    ]  # fmt: skip
    assert [y for _, y, _ in marks(above)][:2] == pytest.approx([1 / 7000, 2 / 12000])


def test_noisy_points_are_hollow_and_failures_are_crosses() -> None:
    above, _ = draw_sweep(saturating())
    assert [x for x, _, fill in marks(above) if fill == PAPER] == [64]
    assert [x for x, _, _ in marks(above, "x")] == [128]


def test_the_band_runs_from_perfect_overlap_to_none() -> None:
    above, below = draw_sweep(saturating())
    # At batch 8: 160 us of arithmetic and 60 us of data.
    for ax, low, high in ((above, 160e-6, 220e-6), (below, 8 / 220e-6, 8 / 160e-6)):
        (band,) = ax.collections
        corners = {float(y) for x, y in np.asarray(band.get_paths()[0].vertices) if x == 8}
        assert sorted(corners) == pytest.approx([low, high])


def test_the_knee_and_the_budget_are_marked() -> None:
    above, below = draw_sweep(saturating())
    assert "knee 8" in {text.get_text() for text in below.texts}
    assert "budget 1 ms" in {text.get_text() for text in above.texts}


def test_curves_differ_in_colour_and_marker() -> None:
    points = [
        point(batch, rate, dtype=dtype)
        for dtype in ("float32", "bfloat16")
        for batch, rate in ((1, 100.0), (2, 200.0), (4, 201.0))
    ]
    above, _ = draw_sweep(sweep(*points))
    assert len(marks(above, "o")) == len(marks(above, "s")) == 3
    legend = above.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:2] == ["float32", "bfloat16"]


def test_axes_that_are_handed_in_come_back_and_figures_are_written(tmp_path: Path) -> None:
    first, second = Figure().subplots(2)
    assert saturating().plot((first, second)) == (first, second)
    path = save_figure(saturating().plot()[0], tmp_path / "sweep.pdf")
    assert path.read_bytes().startswith(b"%PDF")


def test_a_sweep_without_a_measurement_has_no_figure() -> None:
    with pytest.raises(InputError, match="no point of the sweep of 'small_cnn' was measured"):
        draw_sweep(sweep(failed(1)))
