"""The table of growth: which curves it shows, and what of them."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console, Group

from edgegraph.studies.sweep.growth_table import growth_tables
from edgegraph.studies.sweep.result import Sweep
from tests.studies.sweep.test_growth import POINTS, SIZES
from tests.studies.sweeps import sweep


def text(made: Sweep) -> str:
    out = io.StringIO()
    Console(width=120, file=out).print(Group(*growth_tables(made)))
    return out.getvalue()


def test_a_row_for_every_figure_with_its_formula() -> None:
    rows = text(replace(sweep(*POINTS), axes={"length": SIZES}))
    assert "growth along length" in rows
    assert "6.29 MFLOP n + 2.05 kFLOP n^2" in rows
    assert [line.split()[0] for line in rows.splitlines() if "batch 1" in line] == [
        "FLOPs", "bytes", "peak", "time",
    ]  # fmt: skip


def test_of_many_curves_the_first_and_the_last() -> None:
    batches = (1, 2, 4, 8)
    points = [replace(point, batch=batch) for batch in batches for point in POINTS]
    rows = text(replace(sweep(*points), axes={"length": SIZES}))
    assert "batch 1" in rows
    assert "batch 8" in rows
    assert "batch 2" not in rows


def test_a_sweep_over_the_batch_alone_has_none() -> None:
    assert growth_tables(sweep(replace(POINTS[0], sizes={}))) == []
