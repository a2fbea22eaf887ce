"""The work of the kernels that a calibration times, and the rates that follow."""

from __future__ import annotations

import pytest

from edgegraph.device.calibration.rate_kernels import Case, cases, measure_kernels


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
