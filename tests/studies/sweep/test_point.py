"""One point: what does not fit is not run, and what is done is kept."""

from __future__ import annotations

import pytest

from edgegraph.studies.sweep.point import PartialSweep
from tests.studies.sweep.conftest import Stopwatch, Take, plan
from tests.studies.sweeps import point, sweep


def test_a_kept_file_that_was_cut_off_keeps_its_whole_lines() -> None:
    kept = PartialSweep({"a": 1})
    kept.add(sweep(point(1, 100.0)))
    kept.add(sweep(point(2, 190.0)))
    content = kept.path.read_bytes()
    kept.path.write_bytes(content[:-10])
    assert list(PartialSweep({"a": 1}).parts) == [(1, None, "default")]


def test_what_does_not_fit_is_not_run(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.device.host.memory_bytes", lambda: 3000)
    measure = Stopwatch()
    points = list(take(plan(), measure))
    assert points[2].error is not None
    assert points[2].error.startswith("out of memory: it needs 3.")
    assert measure.batches == [1, 2]
