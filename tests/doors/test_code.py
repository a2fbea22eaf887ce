from __future__ import annotations

from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.doors.code import is_code
from edgegraph.doors.registry import Given


def test_a_name_with_a_colon_is_code_unless_it_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_code(Given("models.cnn:small_cnn"))
    (tmp_path / "a:b").write_text("x")
    assert not is_code(Given("a:b"))
    assert not is_code(Given("HloModule m, x={a:b}"))


def test_it_becomes_its_workload() -> None:
    workload = eg.open("models.cnn:small_cnn", arguments={"flavor": "linen"})
    assert workload.name == "small_cnn"
