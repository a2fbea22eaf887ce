"""A figure over time, drawn: its lines, its scale and its size."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from edgegraph.store.history import follow
from tests.store.test_history import run, weeks


def test_the_plot_has_a_line_for_all_that_compare() -> None:
    ax = follow([run(1, 1.0), run(2, 2.0, batch=16), run(3, 1.5)], "latency_s").plot()
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["batch 8", "batch 16"]
    assert ax.get_title(loc="left") == "net"
    ax = weeks().plot()
    assert ax.get_title(loc="left") == "net, batch 8"
    assert ax.yaxis.get_major_formatter()(0.25) == "250 ms"
    assert ax.get_ylim()[0] == 0


def test_a_new_figure_is_one_column_wide() -> None:
    figure = weeks().plot().get_figure()
    assert isinstance(figure, Figure)
    assert tuple(figure.get_size_inches()) == (3.3, 2.4)
    ax = Figure().subplots()
    assert weeks().plot(ax) is ax


@pytest.mark.parametrize(("last", "scale"), [(9.9, "linear"), (10.1, "log"), (1000.0, "log")])
def test_values_over_a_decade_stand_on_a_logarithmic_scale(last: float, scale: str) -> None:
    ax = follow([run(1, 1.0), run(2, last)], "latency_s").plot()
    assert ax.get_yscale() == scale


def test_a_linear_scale_begins_at_0_and_leaves_room_above() -> None:
    ax = follow([run(1, 1.0), run(2, 2.0)], "latency_s").plot()
    # Matplotlib leaves 5 % of the span of 1 s above the highest, and this 3 % more.
    assert ax.get_ylim() == pytest.approx((0.0, 1.03 * 2.05))


def test_marks_of_what_is_not_sound_are_hollow() -> None:
    marks = [line for line in weeks().plot().get_lines() if line.get_marker() == "o"]
    faces = [line.get_markerfacecolor() for line in marks if len(line.get_xdata()) == 1]  # type: ignore[arg-type]
    assert len(faces) == 4
    assert faces[0] == faces[2] == faces[3] != faces[1]
