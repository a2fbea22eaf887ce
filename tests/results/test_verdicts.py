"""Which times differ, by numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgegraph
from edgegraph.results.verdicts import (
    FASTER,
    HELPS,
    HURTS,
    NO_DIFFERENCE,
    NOISY,
    SLOWER,
    noise,
    verdict_of,
    verdict_of_intervals,
    worst,
)
from tests.analyses import latency

PACKAGE = Path(edgegraph.__file__).parent
TIMES = st.floats(1e-9, 1e3)


@pytest.mark.parametrize(
    ("before_s", "after_s", "noise_s", "verdict"),
    [
        (1.0, 1.2, 0.1, SLOWER),
        (1.2, 1.0, 0.1, FASTER),
        (1.0, 1.1, 0.1 + 1e-9, NO_DIFFERENCE),
        (1.0, 1.009, 0.0, NO_DIFFERENCE),  # below 1 %, however still the machine was
        (1.0, 1.011, 0.0, SLOWER),
        (1.0, 1.0, 0.0, NO_DIFFERENCE),
    ],
)
def test_times_differ_by_more_than_noise_and_one_percent(
    before_s: float, after_s: float, noise_s: float, verdict: str
) -> None:
    assert verdict_of(before_s, after_s, noise_s, sound=True) == verdict
    assert verdict_of(before_s, after_s, noise_s, sound=False) == NOISY


@given(TIMES, TIMES, st.floats(0, 10))
def test_the_words_say_which_way(before_s: float, after_s: float, noise_s: float) -> None:
    found = verdict_of(before_s, after_s, noise_s, sound=True, words=(HELPS, HURTS))
    assert found in {NO_DIFFERENCE, HELPS if after_s < before_s else HURTS}


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.03, 1.1), SLOWER),
        ((0.9, 0.97), FASTER),
        ((1.015, 1.1), NO_DIFFERENCE),  # overlaps what the reference differs from itself
        ((0.97, 1.03), NO_DIFFERENCE),
    ],
)
def test_intervals_have_to_lie_apart(interval: tuple[float, float], verdict: str) -> None:
    assert verdict_of_intervals(1.0, (0.98, 1.02), interval) == verdict


def test_intervals_within_one_percent_are_no_difference() -> None:
    assert verdict_of_intervals(1.0, (1.0, 1.0), (1.005, 1.009)) == NO_DIFFERENCE
    assert verdict_of_intervals(1.0, (1.0, 1.0), (0.991, 0.995)) == NO_DIFFERENCE


def test_noise_adds_in_squares_and_linearly_where_layers_share_a_measurement() -> None:
    one, other = latency(3e-3), latency(4e-3)  # the middle half spreads over 3 %
    assert (one.relative_iqr, other.relative_iqr) == (0.03, 0.03)
    assert noise([(one, 1), (other, 1)]) == pytest.approx(0.03 * 5e-3)
    assert noise([(one, 2), (one, 1)]) == pytest.approx(3 * 0.03 * 3e-3)
    assert noise([]) == 0.0


def test_the_worst_of_several_measurements() -> None:
    assert worst(["OK", "INVALID", "NOISY"]) == "INVALID"
    assert worst(["OK", "OK"]) == "OK"


def test_words_and_rule_stand_in_one_module() -> None:
    """Whoever compares with these words takes them from here."""
    elsewhere = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "verdicts.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(f'= "{word}"' in line for word in ("OK", "NOISY", "INVALID", "faster", "slower"))
        or "SMALLEST_CHANGE =" in line
    ]
    assert not elsewhere
