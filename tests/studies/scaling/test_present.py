"""A scaling study shown: its table and its figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from rich.console import Console

from edgegraph.errors import InputError
from edgegraph.studies.scaling.present import scaling_table
from tests.studies.scalings import FAILED, MADE, scaling


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_within_its_columns(width: int) -> None:
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(scaling_table(MADE))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "out of memory" in text
    assert "80 %" in text
    assert "None" not in text


def lines(ax: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in ax.get_lines()
    }


def test_speedups_stand_beside_the_perfect_one() -> None:
    above, below = MADE.plot()
    assert (above.get_xlabel(), below.get_xlabel()) == ("", "chips")
    assert above.get_ylabel() == "speedup (predicted)"
    drawn = lines(above)
    assert drawn["perfect"] == ([1, 4, 16], [1, 4, 16])
    # One chip does 10 in 1 ms, four 40 in 1.25 ms, sixteen 160 in 4 ms.
    assert drawn["weak"][1] == pytest.approx([1.0, 3.2, 4.0])


def test_the_three_times_of_a_step_and_what_is_exposed() -> None:
    drawn = lines(MADE.plot()[1])
    assert drawn["compute"] == ([1, 4, 16], [1e-3] * 3)
    assert drawn["memory"] == ([1, 4, 16], [5e-4] * 3)
    assert drawn["network"] == drawn["network, exposed"] == ([4, 16], [2.5e-4, 3e-3])


def test_a_new_figure_is_one_column_wide() -> None:
    figure = MADE.plot()[0].get_figure(root=True)
    assert figure is not None
    assert tuple(figure.get_size_inches()) == (3.3, 3.9)


def test_there_is_nothing_to_draw_of_errors() -> None:
    with pytest.raises(InputError, match="no mesh of the scaling study of 'net' has a time"):
        scaling(FAILED).plot()
