from __future__ import annotations

import pytest

from edgegraph.studies.improve.trials import OutputCheck
from tests.studies.improve.improvements import change


@pytest.mark.parametrize(("difference", "agrees"), [(4e-6, True), (5.9e-6, True), (9e-6, False)])
def test_results_may_move_as_far_as_they_move_by_themselves(
    difference: float, agrees: bool
) -> None:
    check = OutputCheck(name="", largest=2.0, difference=difference, sensitivity=1e-6)
    assert check.agrees is agrees  # 4 x 1e-6 + 1e-6 x 2


def test_shares_of_what_is_allowed() -> None:
    assert OutputCheck(name="", largest=0.0, difference=0.0, sensitivity=0.0).share == 0.0
    assert OutputCheck(name="", largest=0.0, difference=1.0, sensitivity=0.0).share == float("inf")
    check = OutputCheck(name="", largest=2.0, difference=0.1, sensitivity=0.0, tolerance=0.1)
    assert check.share == 0.5


def test_what_a_change_saves() -> None:
    each = change("depthwise", 0.004, 0.0005, kept=True, executions=4)
    assert each.gain == 8.0
    assert each.saved_s == pytest.approx(0.014)
