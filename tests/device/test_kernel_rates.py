"""Rates expected from a table: by hand, and what must always hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.device.calibration.rate_kernels import Case, cases, measure_kernels
from edgegraph.device.kernel_rates import KernelRate, KernelRates

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


def test_a_kernel_is_timed_by_the_median_call_less_the_launch() -> None:
    def case(kind: str) -> Case:
        return next(each for each in cases() if each.kind == kind)

    ticks = iter(range(0, 10**15, 3_000_000))  # every call seems to take 3 ms
    found = measure_kernels(
        1e-3, chosen=[case("dot"), case("reduction")], budget_s=0.01, clock=lambda: next(ticks)
    )
    product, sum_ = found
    assert product.rate_per_s == pytest.approx(2 * 1 * 128 * 128 / 2e-3)
    assert sum_.rate_per_s == pytest.approx(sum_.rows / 2e-3)


def test_convolutions_count_as_xla_counts_them() -> None:
    # 3 x 3 on 32 x 32: 94 of 96 taps along each axis lie inside.
    (first,) = [c for c in cases() if c.sizes == (1024, 128, 1152) and c.dtype == "f32"]
    assert first.work == 2 * 94**2 * 128 * 128
