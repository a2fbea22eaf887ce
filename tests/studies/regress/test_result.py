"""A regression study is data: saved, noted, and asked what is at fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.results.verdicts import SLOWER
from tests.studies.regressions import regression


def test_it_is_the_same_saved_and_loaded(tmp_path: Path) -> None:
    study = regression()
    assert eg.load(study.save(tmp_path / "study.edgegraph")) == study


def test_its_frame_has_a_row_a_version() -> None:
    frame = regression().frame.set_index("version")
    assert frame.loc["0.10.2", "ratio"] == pytest.approx(2.0, rel=0.01)
    assert frame.loc["0.99", "error"] == "jax==0.99 was not installed"
    assert regression().layer_frame.loc[0, "layer"] == "Net/Dense_0"


def test_the_database_notes_the_ratio(tmp_path: Path) -> None:
    with eg.open_store(tmp_path / "runs.db") as store:
        (number,) = store.put(regression())
        (run,) = store.find(workload="net")
        assert run.metrics["ratio"] == pytest.approx(2.0, rel=0.01)
        assert store.load(number) == regression() or run.kind == "regression study"


def test_the_culprit_moves_the_way_that_the_whole_does() -> None:
    study = regression()
    assert study.verdict == SLOWER
    assert study.culprit is not None
    assert study.culprit.layer == "Net/Dense_0"
    assert study.culprit_op is not None
    assert study.culprit_op.growth_s == pytest.approx(1e-3)
    other = replace(study, layers=(replace(study.layers[0], verdict="faster"),))
    assert other.culprit is None
    assert replace(study, timing=None).culprit_op is None
