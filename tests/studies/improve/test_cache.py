from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.studies.improve.cache import TimedForms
from tests.studies.improve.improvements import change


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))


def test_what_was_timed_comes_back() -> None:
    timed = TimedForms()
    timed.put("conv", [change("depthwise", 2.0, 1.0, kept=True)])
    timed.save()
    assert TimedForms().get("conv") == [change("depthwise", 2.0, 1.0, kept=True)]
    assert TimedForms().get("dot") is None
    assert TimedForms(("bf16",)).get("conv") is None


def test_a_damaged_file_is_begun_anew() -> None:
    timed = TimedForms()
    timed.save()
    timed.path.write_text("no json")
    assert TimedForms().get("conv") is None


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.warns(UserWarning, match="timed forms are not kept"):
        TimedForms().save()
