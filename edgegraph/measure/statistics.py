"""What a series of samples says, and how far it can be believed.

Pure functions over samples in the order they were taken; nothing here knows of clocks or jax.
The unit of the results is that of the samples, except where a ratio is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtrit

from edgegraph.device.host import NOISY_OTHERS
from edgegraph.results.verdicts import INVALID, NOISY, NOISY_RELATIVE_IQR, OK

Samples = Sequence[float] | npt.NDArray[np.float64]

FEWEST_SAMPLES = 6
"""The fewest samples whose range holds the true median with 95 % confidence.

All n samples lie on one side of the median with probability 2 * 0.5**n: 3.1 % for six.
"""

PERCENTILE_RISK = 0.01
"""Probability that a percentile's estimate lies below the true percentile, as in MLPerf."""

NOISY_DRIFT = 0.05
INVALID_RELATIVE_IQR = 0.25


def median(samples: Samples) -> float:
    """Return the median."""
    return float(np.median(np.asarray(samples, dtype=np.float64)))


def median_absolute_deviation(samples: Samples) -> float:
    """Return the median distance from the median, not scaled to a standard deviation."""
    values = np.asarray(samples, dtype=np.float64)
    return median(np.abs(values - np.median(values)))


def relative_interquartile_range(samples: Samples) -> float:
    """Return the middle half's width, quartiles interpolated linearly, over the median."""
    low, middle, high = np.percentile(np.asarray(samples, dtype=np.float64), [25, 50, 75])
    return _ratio(float(high - low), float(middle))


def outlier_count(samples: Samples) -> int:
    """Count the samples beyond Tukey's fences, 1.5 interquartile ranges outside the quartiles."""
    values = np.asarray(samples, dtype=np.float64)
    low, high = np.percentile(values, [25, 75])
    fence = 1.5 * (high - low)
    return int(np.count_nonzero((values < low - fence) | (values > high + fence)))


def drift(samples: Samples) -> float:
    """Return how much the second half's median lies above the first half's, over the whole median.

    The middle one of an odd number of samples counts in neither half; of a single sample it is 0.
    """
    values = np.asarray(samples, dtype=np.float64)
    half = len(values) // 2
    if not half:
        return 0.0
    return _ratio(median(values[-half:]) - median(values[:half]), median(values))


def window_spread(samples: Samples, window: int) -> float | None:
    """Return how far the medians of the last three windows lie apart, over their median.

    Fewer samples than three windows take are cut into three equal parts, the first left out if they
    do not divide; of fewer than three samples there is no spread.
    """
    if window < 1:
        raise ValueError(f"a window holds at least one sample, not {window}")
    size = min(window, len(samples) // 3)
    if not size:
        return None
    last = np.asarray(samples, dtype=np.float64)[-3 * size :]
    medians = np.median(last.reshape(3, size), axis=1)
    return _ratio(float(medians.max() - medians.min()), median(medians))


def percentile_estimate(samples: Samples, percentile: float) -> float | None:
    """Return MLPerf's early-stopping estimate of a percentile (0.9): 99 % sure an upper bound.

    With n samples, the t-th largest is reported for the largest t such that at most t of n
    draws lie above the true percentile with probability 1 % or less
    (``binom.cdf(t, n, 1 - percentile) <= 0.01``). The estimate tightens as n grows; None where
    there are too few samples: p90 needs 64, p99 needs 662.
    """
    rank = percentile_rank(len(samples), percentile)
    if rank is None:
        return None
    values = np.asarray(samples, dtype=np.float64)
    return float(np.partition(values, len(values) - rank)[len(values) - rank])


def percentile_rank(count: int, percentile: float) -> int | None:
    """Return t, so that the t-th largest of `count` samples bounds the percentile; None if too few.

    Source: MLCommons inference rules, "early stopping".
    """
    if not 0.0 < percentile < 1.0:
        raise ValueError(f"a percentile lies between 0 and 1, not at {percentile}")
    # The binomial distribution's median lies within one of its mean, so no t above the mean
    # has a probability as low as 1 %.
    ranks = np.arange(0, math.ceil(count * (1.0 - percentile)) + 1, dtype=np.float64)
    fitting = np.flatnonzero(bdtr(ranks, count, 1.0 - percentile) <= PERCENTILE_RISK)
    largest = int(fitting[-1]) if len(fitting) else 0
    return largest if largest >= 1 else None


def mean_interval(samples: Samples, confidence: float) -> tuple[float, float]:
    """Return Student's confidence interval of the mean of two or more independent samples."""
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"an interval needs two samples at least, not {len(values)}")
    quantile = float(stdtrit(len(values) - 1, (1 + confidence) / 2))
    half = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean - half, mean + half


def judge(
    samples: int,
    *,
    relative_iqr: float,
    drift: float,
    window_spread: float | None = None,
    tolerance: float = 0.0,
    others_share: float | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict on a series of samples, and why.

    NOISY above a relative interquartile range of 10 %, a drift of 5 % either way, a spread of
    windows over `tolerance`, or 10 % of the cores' time taken by others: a second process may slow
    all calls down evenly, so that nothing else shows it. INVALID above 25 %, or of too few samples.
    """
    invalid: list[str] = []
    noisy: list[str] = []
    if samples < FEWEST_SAMPLES:
        invalid.append(f"{samples} samples, fewer than {FEWEST_SAMPLES}")
    if relative_iqr > NOISY_RELATIVE_IQR:
        fatal = relative_iqr > INVALID_RELATIVE_IQR
        limit = INVALID_RELATIVE_IQR if fatal else NOISY_RELATIVE_IQR
        (invalid if fatal else noisy).append(
            f"the middle half of the samples spreads over {_percent(relative_iqr)} of the median,"
            f" more than {_percent(limit)}"
        )
    if abs(drift) > NOISY_DRIFT:
        noisy.append(
            f"the second half is {_percent(abs(drift))} {'slower' if drift > 0 else 'faster'} than"
            f" the first, more than {_percent(NOISY_DRIFT)}"
        )
    if window_spread is not None and window_spread > tolerance:
        noisy.append(
            f"the last three windows lie {_percent(window_spread)} apart, more than"
            f" {_percent(tolerance)}"
        )
    if others_share is not None and others_share > NOISY_OTHERS:
        noisy.append(
            f"other processes took {_percent(others_share)} of the cores' time, more than"
            f" {_percent(NOISY_OTHERS)}"
        )
    verdict = INVALID if invalid else NOISY if noisy else OK
    return verdict, tuple(invalid + noisy)


def _ratio(part: float, whole: float) -> float:
    if part == 0.0:
        return 0.0
    return part / whole if whole else math.inf


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
