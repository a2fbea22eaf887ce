"""Where the cache is."""

from pathlib import Path

import pytest

from edgegraph.base.files import cache_folder


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", "kept")
    assert cache_folder() == Path("kept")
    monkeypatch.delenv("EDGEGRAPH_CACHE_DIR")
    assert cache_folder().name == "edgegraph"
