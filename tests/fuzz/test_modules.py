"""Damaged modules are read or refused, by the thousand."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegraph import xla
from scripts.fuzz import Run
from tests.corpus.files import FILES, serialized
from tests.fuzz.child import MEMORY_BYTES
from tests.fuzz.follow import survives, without_xla
from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import LARGEST_SEED_BYTES

SEEDS = [name for name in FILES if not name.startswith("real/")]


@pytest.fixture(autouse=True)
def _without_xla() -> Iterator[None]:
    with without_xla():
        yield


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_not_damaged_is_accepted(name: str) -> None:
    assert survives(serialized(name))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(0, 2**32))
def test_damaged_modules_are_read_or_refused(number: int) -> None:
    survives(mutate(random.Random(number), [serialized(name) for name in SEEDS]))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_anything_is_read_or_refused(data: bytes) -> None:
    survives(data)


def test_an_input_can_be_made_again_from_its_number() -> None:
    seeds = [serialized(name) for name in SEEDS]
    assert [mutate(random.Random(n), seeds) for n in range(50)] == [
        mutate(random.Random(n), seeds) for n in range(50)
    ]


def figures(run: Run) -> tuple[int, int, int]:
    done = run.counts["accepted"] + run.counts["refused"]
    return done, run.counts["failed"], run.state["deaths"]


@pytest.mark.slow
def test_thousands_of_inputs_in_a_process_with_little_memory(tmp_path: Path) -> None:
    run = Run(tmp_path, "mutators", 2024)
    run.batch(4_000)
    assert figures(run) == (4_000, 0, 0), [path.name for path in (tmp_path / "failures").iterdir()]
    assert run.counts["accepted"] > 400
    assert run.counts["peak_bytes"] < MEMORY_BYTES
    assert run.state["next"] == 4_000


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris")
def test_inputs_guided_by_coverage(tmp_path: Path) -> None:
    run = Run(tmp_path, "atheris", 1)
    run.batch(1000)
    done, *bad = figures(run)
    assert (bad, done > 900) == ([0, 0], True)


def test_seeds_are_small_and_most_of_the_corpus(tmp_path: Path) -> None:
    Run(tmp_path, "mutators", 0)
    seeds = list((tmp_path / "seeds").iterdir())
    assert len(seeds) > 0.8 * len(FILES)
    assert max(path.stat().st_size for path in seeds) <= LARGEST_SEED_BYTES


def test_a_failure_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fuzzing that cannot fail shows nothing."""
    from tests.fuzz import child

    def broken(serialized: bytes) -> dict[str, float]:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(xla, "cost_analysis", broken)
    (tmp_path / "failures").mkdir()
    counts = child.Counts(tmp_path / "counts")
    child.try_one(serialized("handwritten/tpu_sort.hlo"), counts, tmp_path / "failures")
    child.try_one(b"nonsense", counts, tmp_path / "failures")
    assert (counts["failed"], counts["refused"]) == (1, 1)
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "failures").iterdir())
    assert kept == ["ZeroDivisionError", "ZeroDivisionError"]
