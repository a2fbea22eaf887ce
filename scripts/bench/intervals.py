"""How often does a 95 % interval hold the median that endless sampling would find?

Makes series of times with noise of known kinds, cuts each as a measurement would, and counts how
often the interval holds the true median, and how far it reaches.

    python scripts/bench/intervals.py --series 300
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgegraph.measure import statistics
from edgegraph.results.verdicts import KNOWN_TO

Times = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Times]


def independent(rng: np.random.Generator, count: int) -> Times:
    """Samples with a long tail, each for itself."""
    return 1 + rng.lognormal(-3, 1, count)


def correlated(over: float) -> Noise:
    """Return noise of 5 % that forgets itself after so many samples: autoregressive."""

    def made(rng: np.random.Generator, count: int) -> Times:
        keeps = np.exp(-1 / over)
        steps = rng.normal(size=count)
        steps[1:] *= np.sqrt(1 - keeps**2)
        for at in range(1, count):
            steps[at] += keeps * steps[at - 1]
        return 1 + 0.05 * steps

    return made


def bursts(length: float, share: float = 0.2) -> Noise:
    """Return noise of 2 % with bursts, 40 % slower, of that part of the series on average."""

    def made(rng: np.random.Generator, count: int) -> Times:
        times = 1 + 0.02 * rng.normal(size=count)
        # A series begins anywhere, in a burst or out of one.
        at, slow = 0.0, rng.random() < share
        while at < count:
            mean = length * count * (1.0 if slow else (1 - share) / share)
            end = at + rng.exponential(mean)
            if slow:
                times[round(at) : round(end)] *= 1.4
            at, slow = end, not slow
        return times

    return made


KINDS: dict[str, Noise] = {
    "independent, long tail": independent,
    "correlated over 10": correlated(10),
    "correlated over 30": correlated(30),
    "bursts of a fiftieth": bursts(1 / 50),
    "bursts of a tenth": bursts(1 / 10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--samples", type=int, nargs="+", default=[64, 300, 2000])
    options = parser.parse_args()
    print(f"{'noise':24} {'samples':>7} {'holds':>7} {'reaches':>8} {'OK':>6}")
    for name, noise in KINDS.items():
        for count in options.samples:
            rng = np.random.default_rng(0)
            truth = np.median(np.concatenate([noise(rng, count) for _ in range(1000)]))
            held, reach = 0, []
            for _ in range(options.series):
                times = noise(rng, count)
                interval = statistics.median_interval(times)
                assert interval is not None
                held += interval[0] <= truth <= interval[1]
                reach.append(statistics.half_width(interval, float(np.median(times))))
            sound = np.mean(np.array(reach) <= KNOWN_TO)
            print(
                f"{name:24} {count:7} {held / options.series:7.1%} {np.median(reach):8.2%}"
                f" {sound:6.0%}"
            )


if __name__ == "__main__":
    main()
