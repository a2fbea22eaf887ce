from __future__ import annotations

from typing import Any

import pytest

from edgegraph.studies.improve import options
from edgegraph.studies.improve.options import refusal, with_options
from edgegraph.studies.improve.whole import Ratio, Recipe
from tests.studies.improve.improvements import improvement

NOBODY: Any = lambda *_: None  # noqa: E731


class Pretended:
    """A whole whose time is the product of what its options take."""

    def __init__(self, **factors: float) -> None:
        self.factors = factors
        self.compiled: list[Recipe] = []

    def compile_s(self, recipe: Recipe) -> float:
        return 1.0

    def program(self, recipe: Recipe) -> None:
        self.compiled.append(recipe)

    def time(self, recipe: Recipe) -> float:
        names = dict(recipe.options)
        if {"a", "c"} <= names.keys():
            names.pop("c")  # which gains nothing beside a
        product = 1.0
        for name in names:
            product *= self.factors[name]
        return product

    def ratios(self, first: Recipe, others: list[Recipe]) -> list[Ratio]:
        found = [self.time(each) / self.time(first) for each in others]
        return [Ratio(ratio=r, interval=(r - 0.01, r + 0.01), control=(0.99, 1.01)) for r in found]


@pytest.fixture(autouse=True)
def _candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "CANDIDATES", {"a": "", "b": False, "c": 1, "d": 2, "e": 3})
    monkeypatch.setattr(options, "ALLOWED", {"fast-math": ("f", True)})
    told = {"e": "not taken by this XLA: No such compile option: 'e'"}
    monkeypatch.setattr(options, "refusal", lambda name, value: told.get(name))


def test_options_that_help_are_kept_and_no_others() -> None:
    whole: Any = Pretended(a=0.7, b=0.9, c=0.8, d=1.2)
    study = with_options(improvement(), whole, 60.0, NOBODY)
    assert study.compiler_options == {"a": "", "b": False}
    assert {each.name: each.reason for each in study.options if not each.kept} == {
        "c": "does not help beside the others",
        "d": "does not help the whole",
        "e": "not taken by this XLA: No such compile option: 'e'",
    }
    assert "compiled with a='', the changed program takes 0.7 times as long" in str(
        study.conclusions
    )


def test_options_that_change_numbers_need_a_permission() -> None:
    whole: Any = Pretended(a=1.0, b=1.0, c=1.0, d=1.0, f=0.5)
    assert not with_options(improvement(), whole, 60.0, NOBODY).compiler_options
    study = with_options(improvement(allow=("fast-math",)), whole, 60.0, NOBODY)
    assert study.compiler_options == {"f": True}


def test_no_more_is_compiled_than_there_is_time_for() -> None:
    whole: Any = Pretended()
    study = with_options(improvement(), whole, 0.5, NOBODY)
    assert not whole.compiled
    assert {each.reason for each in study.options} >= {"no time left"}


def test_times_that_cannot_be_taken_keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = Pretended()
    monkeypatch.setattr(whole, "ratios", lambda *_: None)
    study = with_options(improvement(), whole, 60.0, NOBODY)
    assert not study.compiler_options
    assert study.options[0].reason == "too slow to be timed in turns"


def test_what_xla_takes_and_what_not() -> None:
    assert refusal("xla_cpu_multi_thread_eigen", False) is None
    assert "No such compile option" in str(refusal("xla_no_such_option", 1))
