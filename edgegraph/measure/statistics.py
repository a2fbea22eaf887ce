"""What a series of samples says, and how far it can be believed.

Pure functions over samples in the order they were taken; nothing here knows of clocks or jax.
The unit of the results is that of the samples, except where a ratio is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri, stdtrit

from edgegraph.device.host import NOISY_OTHERS
from edgegraph.results.verdicts import INVALID, KNOWN_TO, NOISY, OK

Samples = Sequence[float] | npt.NDArray[np.float64]

FEWEST_SAMPLES = 6
"""The fewest samples whose range holds the true median with 95 % confidence.

All n samples lie on one side of the median with probability 2 * 0.5**n: 3.1 % for six.
"""

PERCENTILE_RISK = 0.01
"""Probability that a percentile's estimate lies below the true percentile, as in MLPerf."""

INVALID_BEYOND = 0.25
"""A figure that is known to no better than this share of itself is none."""

CONFIDENCE = 0.95

WINDOWS = (8, 20)
"""Windows of samples that an interval is made from: few show slow changes, many show bursts.

With `scripts/bench/intervals.py` the widest of these two held the true median in 91 to 97 of 100
series of 300 and 2000 samples: independent ones, correlated over 10 and 30, and with bursts a
fiftieth of the series long; in 83 to 87 with bursts of a tenth.
"""

RESAMPLES = 300

MOST_A_WINDOW = 200


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


def median_interval(samples: Samples) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the median; None of too few samples.

    Consecutive samples share what happens to the machine, so that whole windows of them are drawn
    again, with replacement: a block bootstrap (Kunsch, Annals of Statistics 17, 1989) with 8
    windows and with 20, of which the wider one counts. Both are widened by Student's t over the
    normal quantile, since few windows underrate their own spread, and reach as far as half of the
    drift at least. The draws are the same ones every time.
    """
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < FEWEST_SAMPLES:
        return None
    middle = median(values)
    below = above = abs(drift(values)) * middle / 2
    for windows in WINDOWS:
        low, high = _resampled(values, min(windows, len(values)))
        below, above = max(below, middle - low), max(above, high - middle)
    return max(middle - below, float(values.min())), min(middle + above, float(values.max()))


def _resampled(values: npt.NDArray[np.float64], windows: int) -> tuple[float, float]:
    """Return the interval from so many windows; samples that fill none are left out at the start.

    A window of many samples stands as some of its order statistics, evenly spaced.
    """
    size = len(values) // windows
    blocks = np.sort(values[-windows * size :].reshape(windows, size), axis=1)
    if size > MOST_A_WINDOW:
        blocks = blocks[:, ((np.arange(MOST_A_WINDOW) + 0.5) * size / MOST_A_WINDOW).astype(int)]
    drawn = np.random.default_rng(0).integers(0, windows, (RESAMPLES, windows))
    medians = np.median(blocks[drawn].reshape(RESAMPLES, -1), axis=1)
    tail, middle = (1 - CONFIDENCE) / 2, median(blocks)
    low, high = np.quantile(medians, [tail, 1 - tail])
    wider = float(stdtrit(windows - 1, 1 - tail) / ndtri(1 - tail)) * math.sqrt(
        windows / (windows - 1)
    )
    return middle - wider * (middle - float(low)), middle + wider * (float(high) - middle)


def uncertainty(samples: Samples) -> float:
    """Return half of the median's 95 % interval over the median; infinite of too few samples."""
    interval = median_interval(samples)
    return math.inf if interval is None else half_width(interval, median(samples))


def half_width(interval: tuple[float, float], middle: float) -> float:
    """Return half of an interval's width, over its middle."""
    return _ratio((interval[1] - interval[0]) / 2, middle)


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
    samples: int, *, uncertainty: float, drift: float = 0.0, others_share: float | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict on what a series of samples says, and why.

    It is a verdict on the figure, not on the samples: OK where it is known to 5 % of itself with
    95 % confidence (`uncertainty`), however far the samples spread; NOISY beyond that, and INVALID
    beyond 25 %, or of too few samples. NOISY also where others took over 10 % of the cores' time: a
    second process may slow all calls down evenly, so that no interval shows it.
    """
    invalid: list[str] = []
    noisy: list[str] = []
    if samples < FEWEST_SAMPLES:
        invalid.append(f"{samples} samples, fewer than {FEWEST_SAMPLES}")
    elif uncertainty > KNOWN_TO:
        reasons = invalid if uncertainty > INVALID_BEYOND else noisy
        reasons.append(f"it is known to {_percent(uncertainty)} only, not to {_percent(KNOWN_TO)}")
        if abs(drift) > KNOWN_TO:
            reasons.append(
                f"the second half is {_percent(abs(drift))} {'slower' if drift > 0 else 'faster'}"
                " than the first"
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
