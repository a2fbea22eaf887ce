from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.cli.completion import complete_spec


def test_networks_and_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "cnn.py").write_text(
        "import edgegraph as eg\n"
        "def small_cnn(width: int = 32) -> eg.Workload: ...\n"
        "def _hidden() -> eg.Workload: ...\n"
        "def helper() -> int: ...\n"
    )
    (tmp_path / "moved.edgegraph").touch()
    (tmp_path / "other.py").touch()
    monkeypatch.chdir(tmp_path)
    assert complete_spec("") == ["models.cnn:small_cnn", "models/", "moved.edgegraph"]
    assert complete_spec("models.") == ["models.cnn:small_cnn"]
    assert complete_spec("models/") == []
