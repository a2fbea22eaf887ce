"""What a fit says, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from tests.studies.fits import MADE


def test_the_best_is_the_quickest_that_fits() -> None:
    assert MADE.best is MADE.points[2]
    assert MADE.best.throughput_per_s == pytest.approx(8 / 1.1e-3)
    assert MADE.conclusions == (
        "best: batch 8 on one chip, plan: 900 MB of 1 GB, 7.27 k examples/s",
        "it takes 10 % longer than the step as it is, which needs 2 GB; all again takes 30 %"
        " longer",
    )
    assert list(MADE.frame["fits"]) == [False, True, True, False]


def test_nothing_fits() -> None:
    none = replace(MADE, points=MADE.points[:1])
    assert none.best is None
    with pytest.raises(InputError, match="no plan of net fits"):
        none.applied_to(None)  # type: ignore[arg-type]


def test_a_saved_fit_is_the_same_and_holds_no_code(tmp_path: Path) -> None:
    path = MADE.save(tmp_path / "net.edgegraph")
    again = eg.load(path)
    assert again == MADE
    assert again.document == MADE.document
    with pytest.raises(InputError, match="use applied_to"):
        _ = MADE.workload
    assert MADE.run_notes().metrics["peak_bytes"] == 9e8
