from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgegraph.studies.improve import settle
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.settle import (
    kept_rules,
    settled,
    taken_back,
    without_idle,
    without_moved,
)
from edgegraph.studies.improve.trials import FOLDED, PREPARED, OptionTrial, OutputCheck
from edgegraph.studies.improve.whole import Ratio, Recipe
from tests.studies.improve.improvements import change, improvement


@pytest.fixture
def study() -> Improvement:
    """Three rules that save 6 s, 2 s and 1 s alone."""
    changes = (
        change("large", 7.0, 1.0, kept=True),
        change("middle", 3.0, 1.0, kept=True),
        change("small", 2.0, 1.0, kept=True),
        change("other", 1.0, 2.0, kept=False),
    )
    return improvement(changes=changes, timing=None, outputs=())


def ratio(value: float) -> Ratio:
    return Ratio(ratio=value, interval=(value - 0.02, value + 0.02), control=(0.99, 1.01))


def reasons(study: Improvement) -> dict[str, str | None]:
    return {each.rule: each.reason for each in study.changes if not each.kept}


def test_rules_by_what_they_save(study: Improvement) -> None:
    assert kept_rules(study) == {"large": 6.0, "middle": 2.0, "small": 1.0}
    assert list(kept_rules(taken_back(study, ["large"], "r"))) == ["middle", "small"]


def test_only_rules_that_the_whole_is_slower_without_stay(study: Improvement) -> None:
    found = settled(study, ["small", "middle"], [ratio(1.01), ratio(1.1)])
    assert reasons(found) == {"small": "does not help the whole", "other": "not faster alone"}
    assert [each.whole_ratio for each in found.changes] == [None, 1.1, 1.01, None]


def test_nothing_is_taken_back_where_nothing_can_be_told(study: Improvement) -> None:
    assert settled(study, ["small"], None) == study


class Pretended:
    """A whole of 10 s, of which compiling takes a second."""

    def __init__(self, plain_s: float = 10.0) -> None:
        self.timed: list[Recipe] = []
        self.plain_s = plain_s

    def seconds_of(self, recipe: Recipe) -> float:
        return self.plain_s

    def compile_s(self, recipe: Recipe) -> float:
        return 1.0

    def program(self, recipe: Recipe) -> None:
        pass

    def ratios(self, first: Recipe, others: list[Recipe]) -> list[Ratio]:
        self.timed = others
        return [ratio(1.2) for _ in others]


@pytest.mark.parametrize(("seconds", "tried"), [(60.0, 2), (0.5, 0)])
def test_what_saves_most_is_not_tried_and_no_more_than_there_is_time_for(
    study: Improvement, seconds: float, tried: int
) -> None:
    whole: Any = Pretended()
    found = without_idle(study, whole, seconds, lambda *_: None)
    assert len(whole.timed) == tried
    assert found.decisions == study.decisions
    # "large" saves 6 of 10 s.
    assert all("large" in dict(each.decisions).values() for each in whole.timed)


@pytest.mark.parametrize(("plain_s", "tried"), [(3.9, 1), (4.1, 2)])
def test_what_saves_half_of_the_whole_is_not_tried(
    study: Improvement, plain_s: float, tried: int
) -> None:
    whole: Any = Pretended(plain_s)  # "middle" saves 2 s alone
    without_idle(study, whole, 60.0, lambda *_: None)
    assert len(whole.timed) == tried


@pytest.mark.parametrize(("plain_s", "tried"), [(50.0, 2), (100.0, 3)])
def test_what_saves_most_of_all_is_tried_where_that_is_little(
    study: Improvement, plain_s: float, tried: int
) -> None:
    # "large" saves 6 of the 9 s that all save: 12 % of 50 s, 6 % of 100 s.
    whole: Any = Pretended(plain_s)
    without_idle(study, whole, 60.0, lambda *_: None)
    assert len(whole.timed) == tried


def test_a_rule_alone_is_not_tried(study: Improvement) -> None:
    alone = taken_back(study, ["middle", "small"], "r")
    whole: Any = Pretended()
    assert without_idle(alone, whole, 60.0, lambda *_: None) is alone


@pytest.mark.parametrize(
    ("wrong", "left"),
    [
        (set(), {"large", "middle", "small"}),
        ({"middle"}, {"large", "small"}),
        ({"large", "small"}, {"middle"}),
        ({"large", "middle", "small"}, set()),
    ],
)
def test_rules_that_move_results_are_found(
    study: Improvement, wrong: set[str], left: set[str]
) -> None:
    def check(recipe: Recipe) -> tuple[OutputCheck, ...]:
        moved = 1.0 if wrong & set(dict(recipe.decisions).values()) else 0.0
        return (OutputCheck(name="", largest=1.0, difference=moved, sensitivity=0.0),)

    found = without_moved(study, check)
    assert set(kept_rules(found)) == left
    assert all(reasons(found)[rule] == settle.MOVED for rule in wrong)
    assert all(each.agrees for each in found.outputs) is bool(left)


def test_an_option_that_moves_results_is_found(study: Improvement) -> None:
    study = replace(study, options=(OptionTrial(name="o", value=1, ratio=0.9, kept=True),))

    def check(recipe: Recipe) -> tuple[OutputCheck, ...]:
        moved = 1.0 if recipe.options else 0.0
        return (OutputCheck(name="", largest=1.0, difference=moved, sensitivity=0.0),)

    found = without_moved(study, check)
    assert (found.decisions, found.compiler_options) == (study.decisions, {})
    assert found.options[0].reason == settle.MOVED


def test_prepared_weights_are_tried_like_a_rule(study: Improvement) -> None:
    study = replace(study, prepared=True)
    whole: Any = Pretended()
    without_idle(study, whole, 60.0, lambda *_: None)
    assert [each.prepared for each in whole.timed] == [False, True, True]
    found = settled(study, [PREPARED], [ratio(1.0)])
    assert (found.prepared, found.decisions) == (False, study.decisions)


def test_folded_weights_are_tried_and_go_with_prepared_ones(study: Improvement) -> None:
    study = replace(study, prepared=True, folded=3)
    whole: Any = Pretended()
    without_idle(study, whole, 60.0, lambda *_: None)
    assert [(each.prepared, each.folded) for each in whole.timed] == [
        (False, False), (True, False), (True, True), (True, True),
    ]  # fmt: skip
    found = settled(study, [PREPARED, FOLDED], [ratio(1.1), ratio(1.0)])
    assert (found.prepared, found.folded) == (True, 0)
    assert taken_back(study, [PREPARED], "r").folded == 0
