"""Where a database is, and a sweep of one point to keep in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgegraph.studies.sweep.result import Sweep
from tests.studies import sweeps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def one(batch: int = 1, created_at: str = "2025-01-01T00:00:00+00:00") -> Sweep:
    made = sweeps.sweep(sweeps.point(batch, 1000.0 * batch))
    return replace(made, environment=replace(made.environment, created_at=created_at))
