from __future__ import annotations

from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.doors.registry import Given
from edgegraph.doors.saved import is_saved
from edgegraph.errors import FormatError, InputError
from tests.cli.conftest import make_analysis


def test_a_saved_result_opens_from_a_path_and_from_bytes(tmp_path: Path) -> None:
    analysis = make_analysis()
    path = analysis.save(tmp_path / "renamed.zip")
    assert eg.open(path) == eg.open(str(path)) == eg.open(path.read_bytes()) == analysis


def test_a_damaged_one_is_still_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cut.edgegraph"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(FormatError, match="cut off"):
        eg.open(path)


def test_a_run_in_a_database_is_one() -> None:
    assert is_saved(Given("runs.db#12"))
    assert not is_saved(Given("runs.db"))


def test_a_result_is_not_analysed_again(tmp_path: Path) -> None:
    path = make_analysis().save(tmp_path / "a.edgegraph")
    with pytest.raises(InputError, match=r"saved analysis already; edgegraph\.load reads it"):
        eg.analyze(path)
