"""A fusion study shown: its tables and its figure."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from edgegraph.reporting.figure import save_figure
from edgegraph.studies.fusion.present import draw as draw_ladder
from edgegraph.studies.fusion.present import fusion_tables
from edgegraph.studies.fusion.result import FusionStudy
from tests.studies.fusion_studies import effect, study, unmeasured


def printed(of: FusionStudy, width: int) -> str:
    console = Console(width=width, file=StringIO())
    with console.capture() as capture:
        console.print(fusion_tables(of))
    return capture.get()


@pytest.mark.parametrize("width", [80, 160])
def test_the_tables_fit_and_say_everything(width: int) -> None:
    text = printed(study(recomputed=1_000_000), width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text
    for said in ("59.1 MB", "3.5 ms ±3 %", "library fusion helps", "~900 µs", "redone"):
        assert said in text


def test_measured_fusions_have_a_verdict() -> None:
    judged = replace(effect(1_000_000), time_source="measured", verdict="no difference")
    text = printed(replace(study(), fusions=(judged,)), 80)
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "no difference" in text
    assert "~" not in text


def test_long_lists_are_cut_and_say_so() -> None:
    many = replace(study(), fusions=tuple(effect() for _ in range(20)))
    assert "and 12 fusions that save less" in printed(many, 100)


def test_without_times_and_device_nothing_is_made_up() -> None:
    text = printed(replace(unmeasured(), device=None), 80)
    assert "latency" not in text
    assert "no device" in text
    assert "same program" in text


def widths(ax: Axes) -> list[float]:
    return [bar.get_width() for bar in ax.patches]  # type: ignore[attr-defined]  # all are bars


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_bars_are_bytes_and_latencies() -> None:
    left, right = draw_ladder(study())
    assert widths(left) == [3_402_024, 27_617_584, 59_126_596]
    assert widths(right) == [3.5e-3, 4.2e-3, 4.6e-3]
    assert texts(right) == ["3.5 ms, helps", "4.2 ms", "4.6 ms"]
    assert left.get_yticklabels()[1].get_text() == "no library\n12 launches"


def test_without_times_the_roofline_stands_alone_and_twins_are_named() -> None:
    _, right = draw_ladder(unmeasured())
    assert right.get_xlabel() == "time, roofline"
    # 600 us of arithmetic and 3,402,024 bytes at 10 GB/s
    assert widths(right)[0] == pytest.approx(0.6e-3 + 3_402_024 / 10e9)
    assert texts(right)[0] == "~940 µs"


def test_axes_that_are_handed_in_come_back_and_figures_are_written(tmp_path: Path) -> None:
    left, right = Figure().subplots(1, 2)
    assert study().plot((left, right)) == (left, right)
    path = save_figure(study().plot()[0], tmp_path / "fusion.svg")
    assert path.read_text().startswith("<?xml")
