"""Rates expected from a table: by hand, and what must always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.device.kernel_rates import KernelRate, KernelRates, convolution_kind

SIZES = st.integers(1, 1 << 24)


def dot(rows: int, rate_per_s: float, dtype: str = "f32") -> KernelRate:
    return KernelRate(
        kind="dot", dtype=dtype, rows=rows, columns=64, depth=64, rate_per_s=rate_per_s
    )


def rate(rates: KernelRates, kind: str, dtype: str, rows: int) -> float:
    expected = rates.expect(kind, dtype, rows, 64, 64)
    assert expected is not None
    return expected.rate_per_s


def test_what_was_measured_is_expected_again() -> None:
    rates = KernelRates([dot(1, 1e9), dot(1 << 20, 1e11)])
    assert rate(rates, "dot", "f32", 1) == pytest.approx(1e9, rel=0.01)
    assert rate(rates, "dot", "f32", 1 << 10) == pytest.approx(1e10)  # half way between the two


def test_another_dtype_is_as_much_faster_as_its_peak() -> None:
    rates = KernelRates([dot(64, 1e11)], {"f32": 4e11, "bf16": 8e11})
    assert rate(rates, "dot", "bf16", 64) == pytest.approx(2e11)


def test_what_is_like_nothing_measured_is_not_known() -> None:
    assert KernelRates([dot(64, 1e11)]).expect("depthwise", "f32", 64) is None


@given(st.lists(st.tuples(SIZES, st.floats(1e6, 1e13)), min_size=1, max_size=12), SIZES)
def test_no_rate_lies_outside_of_those_measured(table: list[tuple[int, float]], rows: int) -> None:
    rates = KernelRates([dot(size, measured) for size, measured in table])
    measured = [each for _, each in table]
    found = rates.expect("dot", "f32", rows, 64, 64)
    assert found is not None
    assert found.factor >= 1
    assert min(measured) * 0.999 <= found.rate_per_s <= max(measured) * 1.001


def test_three_neighbours_count_by_the_inverse_of_their_squared_distance() -> None:
    rates = KernelRates([dot(1, 1e9), dot(4, 1e10), dot(256, 1e12), dot(1 << 20, 1e15)])
    # At 2 rows they are 1, 1 and 7 doublings away; the fourth is left out.
    weights = [1 / 1.1, 1 / 1.1, 1 / 49.1]
    exponent = sum(w * e for w, e in zip(weights, (9, 10, 12), strict=True)) / sum(weights)
    assert rate(rates, "dot", "f32", 2) == pytest.approx(10**exponent)


def test_four_of_five_lie_within_the_factor() -> None:
    even, fast = [dot(64, 1e10)] * 3, dot(64, 1e10 * math.e)
    four = KernelRates([*even, fast]).expect("dot", "f32", 64, 64, 64)
    five = KernelRates([*even, dot(64, 1e10), fast]).expect("dot", "f32", 64, 64, 64)
    assert four is not None
    assert five is not None
    assert four.factor == 3  # of fewer there are no four of five
    assert five.factor == pytest.approx(1)


@pytest.mark.parametrize(
    ("groups", "inputs", "kind"),
    [(1, 1, "convolution"), (1, 8, "convolution"), (8, 1, "depthwise"), (2, 4, "grouped")],
)
def test_kinds_of_convolutions(groups: int, inputs: int, kind: str) -> None:
    assert convolution_kind(groups, inputs) == kind
