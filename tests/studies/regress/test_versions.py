"""What a study keeps of a version."""

from __future__ import annotations

import pytest

from edgegraph.studies.regress.turns import Generation
from edgegraph.studies.regress.versions import Version, artifact_timing, version_row
from tests.studies.regressions import seen


def test_a_version_that_failed_is_a_row_with_its_reason() -> None:
    row = version_row(Version(label="0.99", options={"a": 1}, error="it was not installed"))
    assert row.error == "it was not installed"
    assert row.kernels is None
    assert row.compile_s is None
    assert row.options == {"a": 1}


def test_the_artifact_is_judged_only_where_every_generation_has_it() -> None:
    first, second = (Version(label=each, options={}) for each in "ab")
    whole = Generation(source=None, artifact=seen(2.0), compile_s={})
    part = Generation(source=None, artifact=None, compile_s={})
    found = artifact_timing(first, second, [whole, whole, whole])
    assert found is not None
    assert found.first == "a"
    assert artifact_timing(first, second, [whole, whole, part]) is None
    assert artifact_timing(first, second, []) is None


def test_where_the_artifact_is_the_source_its_times_are_the_source_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = (Version(label=each, options={}) for each in "ab")
    assert not first.artifact_is_source
    monkeypatch.setattr(Version, "artifact_is_source", property(lambda version: True))
    timed = Generation(source=seen(2.0), artifact=None, compile_s={})
    found = artifact_timing(first, second, [timed, timed, timed])
    assert found is not None
    assert found.ratio == pytest.approx(2.0)
