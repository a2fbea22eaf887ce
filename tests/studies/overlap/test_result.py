"""Where a time lies in its bracket, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgegraph as eg
from tests.studies.overlap_studies import bracket, made


@pytest.mark.parametrize(
    ("time_s", "place", "overlap"),
    [
        (3.0, "within", 1.0),
        (4.0, "within", 0.5),
        (5.0, "within", 0.0),
        (6.0, "above", -0.5),
        (2.0, "below", 1.5),
        (5.05, "unclear", -0.025),
        (2.95, "unclear", 1.025),
    ],
)
def test_where_a_time_lies_in_its_bracket(time_s: float, place: str, overlap: float) -> None:
    found = bracket(time_s)
    assert (found.overlapped_s, found.serial_s, found.place) == (3.0, 5.0, place)
    assert found.overlap == pytest.approx(overlap)


def test_a_bracket_narrower_than_the_noise_does_not_tell() -> None:
    assert bracket(4.0, noise=0.3).overlap is None


def test_the_frame_has_the_whole_first() -> None:
    frame = made().frame
    assert list(frame["place"]) == ["within", "above"]
    assert frame["layer"].isna().tolist() == [True, False]


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    assert eg.load(made().save(tmp_path / "a.edgegraph")) == made()
