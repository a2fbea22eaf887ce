"""What was timed before an interruption is there again, and goes when the study is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgegraph.studies.regress.journal import Journal
from edgegraph.studies.regress.turns import Generation, Spent
from edgegraph.studies.regress.workers import Source
from tests.studies.regressions import seen

FOUND = Generation(
    source=seen(2.0), artifact=None, compile_s={"first": 1.0}, spent={"first": Spent(ops={"a": 1})}
)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    return Journal(Source(spec="net:net"))


def test_what_is_put_is_there_until_the_study_is_done(journal: Journal) -> None:
    assert journal.get("a") is None
    journal.put("a", FOUND)
    assert Journal(Source(spec="net:net")).get("a") == FOUND
    assert Journal(Source(spec="net:other")).get("a") is None
    assert journal.get("b") is None
    journal.finish()
    assert journal.get("a") is None


def test_what_is_damaged_or_old_is_taken_anew(journal: Journal) -> None:
    journal.put("a", FOUND)
    (path,) = journal.folder.iterdir()
    os.utime(path, (0, 0))
    assert journal.get("a") is None
    journal.put("a", FOUND)
    path.write_bytes(path.read_bytes()[:20])
    assert journal.get("a") is None
