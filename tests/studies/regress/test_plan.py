"""What was asked for becomes versions in order, with what pip is asked for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.errors import InputError
from edgegraph.studies.regress import plan
from edgegraph.studies.regress.plan import told_apart, version_key, wanted_versions


def test_versions_become_requirements() -> None:
    first, second = wanted_versions(jax=["0.10.0", "0.10.2"], python=["3.12"], packages=["optax"])
    assert first.label == "0.10.0"
    assert first.requirements == ("jax==0.10.0", "flatbuffers", "optax")
    assert second.requirements[0] == "jax==0.10.2"
    assert second.python == "3.12"


def test_flax_is_one_for_all_or_one_each() -> None:
    alike = wanted_versions(jax=["0.10.0", "0.10.2"], flax=["0.12.8"])
    assert {each.requirements[1] for each in alike} == {"flax==0.12.8"}
    assert [each.label for each in alike] == ["0.10.0", "0.10.2"]
    each = wanted_versions(jax=["0.10.2"], flax=["0.12.7", "0.12.8"])
    assert [one.label for one in each] == ["0.10.2, flax 0.12.7", "0.10.2, flax 0.12.8"]
    with pytest.raises(InputError, match="--jax has 2 versions and another option 3"):
        wanted_versions(jax=["0.10.0", "0.10.2"], flax=["1", "2", "3"])


def test_an_interpreter_is_an_environment_that_is_there() -> None:
    first, second = wanted_versions(jax=["0.10.2"], python=["./old/bin/python"])
    assert first.jax == "0.10.2"
    assert second.jax is None
    assert not second.requirements


def test_one_version_is_not_enough() -> None:
    with pytest.raises(InputError, match="two versions at least are compared"):
        wanted_versions(jax=["0.10.2"])


def test_a_span_is_what_the_index_has_between(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ["0.9.2", "0.10.0", "0.10.1", "0.10.2", "0.11.0"]

    def versions(package: str, python: Path, *, nightly: bool) -> list[str]:
        return known

    monkeypatch.setattr(plan, "index_versions", versions)
    found = wanted_versions(jax=["0.10.0..0.10.2"])
    assert [each.jax for each in found] == ["0.10.0", "0.10.1", "0.10.2"]
    with pytest.raises(InputError, match="the index has 1 version of jax from"):
        wanted_versions(jax=["0.10.1..0.10.1"])


def test_versions_are_ordered_as_they_were_released() -> None:
    mixed = ["0.10.2", "0.4.38", "0.10.2.dev20260101", "0.10.10", "0.12.0.1", "0.12.0"]
    assert sorted(mixed, key=version_key) == [
        "0.4.38", "0.10.2.dev20260101", "0.10.2", "0.10.10", "0.12.0", "0.12.0.1",
    ]  # fmt: skip


def test_the_same_version_twice_has_two_names() -> None:
    twice = told_apart(wanted_versions(jax=["0.10.2", "0.10.2"]))
    assert [each.label for each in twice] == ["0.10.2", "0.10.2 (2)"]


def test_the_compiler_of_a_target_is_installed_as_well() -> None:
    tpu = wanted_versions(jax=["0.10.0", "0.10.2"], kind="tpu")
    assert [each.requirements[0] for each in tpu] == ["jax[tpu]==0.10.0", "jax[tpu]==0.10.2"]
    # A libtpu that is named takes the place of the one that belongs to jax.
    named = wanted_versions(jax=["0.10.2"], libtpu=["0.0.40", "0.0.41"], kind="tpu")
    assert named[1].requirements[:2] == ("jax==0.10.2", "libtpu==0.0.41")
    gpu = wanted_versions(jax=["0.10.0", "0.10.2"], kind="gpu")
    assert "jax-cuda12-plugin==0.10.2" in gpu[1].requirements
