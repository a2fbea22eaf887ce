from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph.results.timing import InputOverlap, ProcessTimes, TimingComparison, timed
from tests.analyses import latency


def overlapped(overlapped_s: float) -> InputOverlap:
    return InputOverlap(
        steps=8, prepare_s=2.0, transfer_s=1.0, step_s=4.0, serial_s=7.0,
        overlapped_s=overlapped_s, verdict="OK",
    )  # fmt: skip


def test_input_overlap_hides_the_shorter_side() -> None:
    # The host takes 3 s a step, the device 4 s; one after the other 7 s.
    assert overlapped(4.0).hidden == 1.0
    assert overlapped(7.0).hidden == 0.0
    assert overlapped(5.5).hidden == 0.5
    assert overlapped(5.25).gain == 0.25


def comparison(interval: tuple[float, float]) -> TimingComparison:
    seen = ProcessTimes(
        first_s=2.0, second_s=1.0, control_s=2.0, ratio=0.5, control_ratio=1.0, pairs=9,
        others_share=None,
    )  # fmt: skip
    return TimingComparison(
        first="a", second="b", first_s=2.0, second_s=1.0, ratio=0.5, interval=interval,
        control_ratio=1.0, control_interval=(0.99, 1.01), verdict="faster", cores=2,
        processes=(seen,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "largest"), [((0.4, 0.6), 0.6), ((0.9, 1.3), 0.3), ((0.95, 1.0), 0.05)]
)
def test_the_largest_difference_that_is_left(interval: tuple[float, float], largest: float) -> None:
    assert comparison(interval).largest_difference == pytest.approx(largest)


def test_a_comparison_is_told_in_one_line() -> None:
    assert str(comparison((0.4, 0.6))) == (
        "b is faster than a: 1 s against 2 s, ratio 0.500 (95 % 0.400 to 0.600; control 1.000,"
        " 0.990 to 1.010)"
    )
    assert comparison((0.4, 0.6)).frame["others_share"].isna().all()


def test_a_measurement_is_noted_with_its_spread() -> None:
    # The middle half of 2 ms, within 3 % of it.
    found = timed(latency(2e-3), None)
    assert found["latency_s"] == 2e-3
    assert found["latency_iqr_s"] == pytest.approx(6e-5)
    assert timed(None, None) == {}


def test_a_latency_is_told_in_one_line_however_many_samples_it_has() -> None:
    measured = replace(latency(2e-3), samples_s=(2e-3,) * 5000)
    assert repr(measured) == "<Latency 2 ms median, min 1.8 ms, n=100, OK>"
    assert repr(replace(measured, cache="cold")).startswith("<Latency cold 2 ms")
