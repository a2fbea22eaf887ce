"""What a notebook shows of a study is a table, and names in it stay text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import edgegraph as eg
from tests import analyses
from tests.analyses import HOSTILE, unseen
from tests.studies import fusion_studies, sweeps
from tests.studies.device_comparisons import dense
from tests.studies.overlap_studies import made


def devices() -> Any:
    return eg.compare_devices(
        dense(name=HOSTILE), devices=["device:rpi5", "device:rp2040"], batches=[1]
    )


SHOWN = {
    "analysis": analyses.hostile,
    "sweep": lambda: replace(sweeps.saturating(), workload=HOSTILE),
    "fusion study": lambda: replace(fusion_studies.study(), workload=HOSTILE),
    "overlap study": lambda: replace(made(), workload=HOSTILE),
    "device comparison": devices,
}


@pytest.mark.parametrize("kind", SHOWN)
def test_a_notebook_shows_a_table_and_runs_nothing(kind: str) -> None:
    shown = SHOWN[kind]()._repr_html_()
    assert "<table" in shown
    assert "<img" not in shown
    assert not unseen(shown + repr(SHOWN[kind]()))


def test_findings_print_as_text() -> None:
    analysis = analyses.small_cnn(32)
    first = analysis.findings[0]
    assert str(analysis.findings[:1]) == f"(<{first.rule}: {first.seen}. Try: {first.try_next}.>,)"
