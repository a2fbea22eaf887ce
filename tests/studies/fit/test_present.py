"""A fit at the terminal, in code and on a page."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edgegraph.errors import InputError
from edgegraph.studies.fit.present import code, draw, fit_table
from tests.studies.fits import MADE


def _said() -> str:
    console = Console(width=120, record=True, file=StringIO())
    console.print(fit_table(MADE))
    return console.export_text()


def test_the_table_names_points_layers_and_what_is_saved() -> None:
    text = _said()
    assert "net, tpu:v5e, 1 GB" in text
    assert "batch 64 on one chip, as it is: Ran out of memory on HBM" in text
    assert "dot_general.3" in text
    assert "hidden" in text


def test_the_code_has_a_policy_for_each_run_of_layers() -> None:
    lines = code(MADE.points[2]).splitlines()
    assert lines[0] == 'step = eg.load("plan.edgegraph").applied_to(workload).call(8)'
    assert lines[2:] == [
        '# Net/block_0: jax.checkpoint, save_only_these_names("dot_general.3")',
        "# Net/block_1: as it is",
    ]


def test_it_is_drawn_and_has_a_page(tmp_path: Path) -> None:
    axes = draw(MADE)
    assert len(axes.get_lines()) == 4  # three kinds of points, and the limit
    page = MADE.to_html(tmp_path / "fit.html").read_text("utf-8")
    assert "Throughput against memory" in page
    with pytest.raises(InputError, match="has figures to draw"):
        draw(replace(MADE, points=()))
