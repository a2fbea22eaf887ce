"""Statistics with answers from scipy, from published tables and from arithmetic by hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import boxplot_stats

from edgegraph.measure import statistics

SAMPLES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200)


@given(SAMPLES)
def test_outliers_are_those_of_a_box_plot(samples: list[float]) -> None:
    (box,) = boxplot_stats(samples)
    assert statistics.outlier_count(samples) == len(box["fliers"])


def test_an_outlier_lies_one_and_a_half_boxes_outside() -> None:
    """Of 1 to 9 and one more the box reaches from 3.25 to 7.75, the upper fence lies at 14.5."""
    assert statistics.outlier_count([*range(1, 10), 14.4]) == 0
    assert statistics.outlier_count([*range(1, 10), 14.6]) == 1


@given(SAMPLES)
def test_robust_scale_agrees_with_scipy(samples: list[float]) -> None:
    assert statistics.median(samples) == pytest.approx(np.median(samples))
    assert statistics.median_absolute_deviation(samples) == pytest.approx(
        scipy.stats.median_abs_deviation(samples)
    )
    assert statistics.relative_interquartile_range(samples) == pytest.approx(
        scipy.stats.iqr(samples) / np.median(samples)
    )


def test_scale_by_hand() -> None:
    samples = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 100.0]
    assert statistics.median(samples) == 14.0
    assert statistics.median_absolute_deviation(samples) == 2.0  # of 0 1 1 2 2 3 3 4 86
    assert statistics.relative_interquartile_range(samples) == pytest.approx(4 / 14)
    assert statistics.outlier_count(samples) == 1  # fences at 12 - 6 and 16 + 6


def test_outliers_on_both_sides_are_counted() -> None:
    assert statistics.outlier_count([-50.0, 10.0, 11.0, 12.0, 13.0, 14.0, 90.0]) == 2


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([5.0], 0.0),
        ([4.0, 4.0, 4.0, 4.0], 0.0),
        ([10.0, 10.0, 20.0, 20.0], 10 / 15),
        ([20.0, 20.0, 10.0, 10.0], -10 / 15),
        ([10.0, 99.0, 10.0], 0.0),  # the middle one counts in neither half
    ],
)
def test_drift_of_the_halves(samples: list[float], expected: float) -> None:
    assert statistics.drift(samples) == pytest.approx(expected)


@given(st.lists(st.floats(1e-6, 1e3), min_size=6, max_size=500), st.floats(1e-3, 1e3))
def test_an_interval_holds_the_median_and_scales(samples: list[float], factor: float) -> None:
    interval = statistics.median_interval(samples)
    assert interval is not None
    low, high = interval
    assert min(samples) <= low <= np.median(samples) <= high <= max(samples)
    scaled = statistics.median_interval([factor * sample for sample in samples])
    assert scaled == pytest.approx((factor * low, factor * high))


def test_too_few_samples_have_no_interval() -> None:
    assert statistics.median_interval([1.0] * 5) is None
    assert statistics.uncertainty([1.0] * 5) == math.inf


def test_an_interval_of_independent_samples_is_that_of_the_textbook() -> None:
    """Of a normal median: 1.96 * sqrt(pi / 2) * sd / sqrt(n), which the widening may exceed."""
    rng = np.random.default_rng(1)
    reach = [statistics.uncertainty(rng.normal(10.0, 1.0, 1000)) for _ in range(40)]
    textbook = 1.96 * math.sqrt(math.pi / 2) / math.sqrt(1000) / 10.0
    assert textbook <= np.mean(reach) <= 1.5 * textbook


@pytest.mark.parametrize("length", [1, 10, 40])
def test_nine_in_ten_intervals_hold_the_true_median(length: int) -> None:
    """Also where so many samples in a row share what makes them slow."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        shared = np.repeat(rng.normal(10.0, 1.0, 1200 // length), length)
        interval = statistics.median_interval(shared + 0.01 * rng.normal(size=1200))
        assert interval is not None
        held += interval[0] <= 10.0 <= interval[1]
    assert held >= 0.9 * 200


def test_an_interval_reaches_as_far_as_half_the_drift() -> None:
    """Of a steady slope from 10 to 12: the medians of the halves are 10.5 and 11.5."""
    steps = np.linspace(10.0, 12.0, 4001)  # a drift of 1
    low, high = statistics.median_interval(steps) or (0.0, 0.0)
    assert low <= 10.501
    assert high >= 11.499


def test_windows_of_many_samples_say_what_all_of_them_say() -> None:
    rng = np.random.default_rng(3)
    many = rng.lognormal(0.0, 0.3, 40_000)
    textbook = 1.96 * math.sqrt(math.pi / 2) * 0.3 / math.sqrt(40_000)
    assert textbook / 1.5 <= statistics.uncertainty(many) <= 1.7 * textbook


@pytest.mark.parametrize(("percentile", "fewest"), [(0.90, 64), (0.95, 130), (0.99, 662)])
def test_fewest_samples_of_a_percentile(percentile: float, fewest: int) -> None:
    """64 and 662 are the counts that MLPerf publishes."""
    assert scipy.stats.binom.cdf(1, fewest - 1, 1 - percentile) > 0.01
    assert scipy.stats.binom.cdf(1, fewest, 1 - percentile) <= 0.01
    assert statistics.percentile_rank(fewest - 1, percentile) is None
    assert statistics.percentile_rank(fewest, percentile) == 1


@given(st.integers(1, 3000), st.sampled_from([0.5, 0.9, 0.95, 0.97, 0.99]))
def test_rank_is_the_largest_that_the_binomial_allows(count: int, percentile: float) -> None:
    cumulated = scipy.stats.binom.cdf(np.arange(count + 1), count, 1 - percentile)
    allowed = [rank for rank in range(1, count + 1) if cumulated[rank] <= 0.01]
    assert statistics.percentile_rank(count, percentile) == (max(allowed) if allowed else None)


def test_percentile_is_the_sample_of_that_rank() -> None:
    samples = [float(value) for value in range(1000)]
    rank = statistics.percentile_rank(1000, 0.9)
    assert rank is not None
    assert scipy.stats.binom.cdf(rank, 1000, 0.1) <= 0.01
    assert scipy.stats.binom.cdf(rank + 1, 1000, 0.1) > 0.01
    assert statistics.percentile_estimate(samples[::-1], 0.9) == 1000.0 - rank


def test_percentile_bounds_the_truth_in_99_of_100_series() -> None:
    rng = np.random.default_rng(0)
    truth = scipy.stats.expon.ppf(0.9)
    below = sum(
        (statistics.percentile_estimate(rng.exponential(size=200), 0.9) or 0.0) < truth
        for _ in range(2000)
    )
    assert below <= 0.01 * 2000


@pytest.mark.parametrize("percentile", [0.0, 1.0, 90.0])
def test_percentile_is_a_share(percentile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.percentile_rank(100, percentile)


@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=20), st.sampled_from([0.9, 0.95, 0.99]))
def test_interval_of_the_mean_agrees_with_scipy(samples: list[float], confidence: float) -> None:
    low, high = statistics.mean_interval(samples, confidence)
    assert low <= high
    spread = np.std(samples, ddof=1)
    if spread > 1e-12:
        expected = scipy.stats.t.interval(
            confidence, len(samples) - 1, loc=np.mean(samples), scale=spread / len(samples) ** 0.5
        )
        assert (low, high) == pytest.approx(expected)


def test_interval_by_hand() -> None:
    """Five samples of standard deviation 1: 2.776 (a table's t) over the root of 5."""
    samples = [-(2**0.5), 0.0, 0.0, 0.0, 2**0.5]
    assert statistics.mean_interval(samples, 0.95)[1] == pytest.approx(2.776 / 5**0.5, rel=1e-3)
    with pytest.raises(ValueError, match="two samples at least"):
        statistics.mean_interval([1.0], 0.95)


def test_a_median_of_zero_gives_no_false_comfort() -> None:
    assert statistics.relative_interquartile_range([0.0, 0.0, 0.0, 1.0]) == math.inf
    assert statistics.relative_interquartile_range([0.0, 0.0, 0.0, 0.0]) == 0.0


def test_six_samples_hold_the_median_with_95_percent() -> None:
    assert 1 - 2 * 0.5**statistics.FEWEST_SAMPLES >= 0.95
    assert 1 - 2 * 0.5 ** (statistics.FEWEST_SAMPLES - 1) < 0.95


@pytest.mark.parametrize(
    ("samples", "uncertainty", "verdict"),
    [(100, 0.05, "OK"), (100, 0.051, "NOISY"), (100, 0.26, "INVALID"), (5, math.inf, "INVALID")],
)
def test_verdict(samples: int, uncertainty: float, verdict: str) -> None:
    given, reasons = statistics.judge(samples, uncertainty=uncertainty)
    assert given == verdict
    assert bool(reasons) == (verdict != "OK")


def test_a_drift_is_told_where_it_makes_the_figure_unsure() -> None:
    assert statistics.judge(100, uncertainty=0.04, drift=0.08) == ("OK", ())
    _, reasons = statistics.judge(100, uncertainty=0.07, drift=-0.14)
    assert reasons == (
        "it is known to 7 % only, not to 5 %", "the second half is 14 % faster than the first",
    )  # fmt: skip


def test_a_busy_second_process_makes_even_steady_samples_noisy() -> None:
    """It slows every call down alike, so that only the system's own count shows it."""
    steady = partial(statistics.judge, samples=100, uncertainty=0.0)
    assert steady(others_share=0.10) == ("OK", ())
    verdict, (reason,) = steady(others_share=0.48)
    assert verdict == "NOISY"
    assert reason == "other processes took 48 % of the cores' time, more than 10 %"
