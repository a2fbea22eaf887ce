"""What is said to have changed between versions, of values by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from scripts.drift import PROGRAMS, changes, differing


def test_only_what_differs_is_told() -> None:
    before = {"programs": {"dense": {"FLOP": 100.0, "ops": {"dot": 1, "add": 2}, "names": ["a"]}}}
    after = {"programs": {"dense": {"FLOP": 1000.0, "ops": {"dot": 1}, "names": ["a", "b"]}}}
    assert list(changes(before, before)) == []
    assert list(changes(before, after)) == [
        ("dense", "FLOP", "100", "1,000"),
        ("dense", "ops", "add 2", "-"),
        ("dense", "names", "-", "b"),
    ]


def test_a_program_that_one_version_cannot_compile_differs_in_everything() -> None:
    before = {"programs": {"dense": {"FLOP": 100.0}}}
    after = {"programs": {"dense": {"error": "ValueError: no"}}}
    assert list(changes(before, after)) == [
        ("dense", "FLOP", "100", "None"),
        ("dense", "error", "None", "ValueError: no"),
    ]


def test_of_many_names_four_are_told() -> None:
    assert differing([], list("abcdef")) == ("-", "a, b, c, d and 2 more")


@pytest.mark.slow
def test_every_program_compiles_with_the_jax_at_hand() -> None:
    ran = subprocess.run(
        [sys.executable, str(PROGRAMS)], capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)["programs"]
    assert not [name for name, each in found.items() if "error" in each]
    assert found["dense, relu"]["FLOP"] >= 2 * 64 * 256 * 256
    assert found["a trace of a product and a scan"]["traced ops"]
