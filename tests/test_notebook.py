"""The notebook of the documentation runs, and shows what it says it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot
import nbformat
import pytest
from matplotlib.figure import Figure

from edgegraph.reporting import figure
from scripts.notebook import executed

NOTEBOOK = Path(__file__).parents[1] / "docs" / "from_model_to_figure.ipynb"


def shown(notebook: Any) -> list[set[str]]:
    """Return the kinds of what each cell of code shows."""
    return [
        {kind for output in cell.outputs for kind in output.get("data", {})}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.filterwarnings("default")  # of the kernel and its sockets
def test_it_runs_and_shows_as_much_as_is_kept_in_it() -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    found = executed(NOTEBOOK)
    assert shown(found) == shown(kept)
    figures = [kinds for kinds in shown(found) if "image/png" in kinds]
    assert len(figures) == 2
    # By hand: 3 and 16 channels on 32 x 32 points, 16 and 64 out of 3 x 3 windows, then 64 x 10.
    macs = 8 * (32 * 32 * 9 * (3 * 16 + 16 * 64) + 64 * 10)
    params = (27 * 16 + 16) + 2 * 16 + (144 * 64 + 64) + 2 * 64 + (64 * 10 + 10)
    said = [output["data"]["text/plain"] for cell in found.cells if cell.cell_type == "code"
            for output in cell.outputs if "data" in output]  # fmt: skip
    assert f"({macs}, {params}, 'compute')" in said


def test_it_holds_no_warning_and_names_no_machine() -> None:
    text = NOTEBOOK.read_text("utf-8")
    assert '"output_type": "stream"' not in text
    assert "/home/" not in text


def test_only_figures_of_ours_show_themselves() -> None:
    ours = figure.column_axes(1.0, left=0.5)
    image = figure.png_of(ours)
    assert image is not None
    assert image.startswith(b"\x89PNG")
    pair = figure.png_of(figure.two_axes(1.0, 1.0))
    assert pair is not None
    assert pair.startswith(b"\x89PNG")
    assert figure.png_of(Figure().subplots()) is None
    for other in ((), (1, 2), (ours, 1), (ours, figure.column_axes(1.0, left=0.5))):
        assert figure.png_of(other) is None
    _, theirs = matplotlib.pyplot.subplots()
    assert figure.png_of(theirs) is None
    matplotlib.pyplot.close("all")
