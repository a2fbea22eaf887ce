"""Verdicts on times that were taken by turns: from intervals, never from a sample."""

from __future__ import annotations

import pytest

from edgegraph.results.timing import ProcessTimes
from edgegraph.results.verdicts import FASTER, NO_DIFFERENCE, NOISY, SLOWER
from edgegraph.studies.regress.turns import concluded, judge_part


def seen(ratios: list[float], controls: list[float]) -> list[ProcessTimes]:
    return [
        ProcessTimes(
            first_s=1.0, second_s=ratio, control_s=control, ratio=ratio, control_ratio=control,
            pairs=20, others_share=None,
        )
        for ratio, control in zip(ratios, controls, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ratios", "controls", "verdict"),
    [
        ([1.30, 1.31, 1.29], [1.00, 1.01, 0.99], SLOWER),
        # As wide as it is, all of it lies beyond.
        ([2.0, 3.0, 2.5], [1.0, 1.1, 0.95], SLOWER),
        ([0.80, 0.81, 0.79], [1.00, 1.01, 0.99], FASTER),
        ([1.001, 0.999, 1.000], [1.00, 1.001, 0.999], NO_DIFFERENCE),
        # The first differs from itself as far as from the second.
        ([1.30, 1.31, 1.29], [1.30, 1.31, 1.29], NOISY),
        ([0.7, 1.4, 1.1], [1.0, 1.0, 1.0], NOISY),
        # Less than 1 % is no difference, however certain.
        ([1.005, 1.005, 1.0051], [1.0, 1.0, 1.0001], NO_DIFFERENCE),
    ],
)
def test_the_verdict_follows_from_the_intervals(
    ratios: list[float], controls: list[float], verdict: str
) -> None:
    assert concluded(("old", "new"), seen(ratios, controls)).verdict == verdict


def judged(
    first: list[float], second: list[float], parts: int = 1, whole: float = 10.0
) -> str | None:
    control = [each * 1.001 for each in first]
    return judge_part(first, control, second, parts=parts, whole_s=whole).verdict


def test_a_part_is_judged_like_the_whole() -> None:
    assert judged([1.0, 1.0, 1.01], [2.0, 2.1, 1.9]) == SLOWER
    assert judged([1.0, 1.0, 1.01], [0.5, 0.51, 0.5]) == FASTER
    assert judged([1.0, 1.0, 1.01], [1.0, 1.0, 1.01]) == NO_DIFFERENCE


def test_what_is_certain_of_one_part_is_not_of_the_worst_of_many() -> None:
    first, second = [1.0, 1.02, 0.98, 1.01], [1.10, 1.17, 1.06, 1.2]
    assert judged(first, second, parts=1, whole=1.0) == SLOWER
    assert judged(first, second, parts=500, whole=1.0) == NOISY


def test_growth_that_the_whole_does_not_feel_is_none() -> None:
    assert judged([1.0, 1.0, 1.01], [2.0, 2.1, 1.9], whole=1000.0) == NO_DIFFERENCE


def test_what_only_one_version_has_is_slower_or_faster_by_all_of_it() -> None:
    assert judged([0.0, 0.0, 0.0], [1.0, 1.1, 1.0]) == SLOWER
    assert judged([1.0, 1.1, 1.0], [0.0, 0.0, 0.0]) == FASTER
    assert judged([0.0, 0.0, 0.0], [1.0, 0.0, 1.0]) is None
