"""How far apart do two measurements of the very same executable come out?

Times SmallCNN against itself (A/A), once one after the other and once in turns, as layers are
timed against the whole. The ratios ought to be 1; what they scatter is what a comparison on this
machine cannot tell apart.

    python scripts/bench/latency_noise.py --batch 1 --batch 32 --repeats 20
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import edgegraph as eg
from edgegraph.base.timing import monotonic_clock
from edgegraph.measure.latency import ExecutableCall, prefer_synchronous_dispatch, program_arguments
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds, summarise
from models.cnn import small_cnn

SETTINGS = MeasurementSettings(warm_up_s=0.1, minimum_s=0.5, limit_s=2.0)


def medians(call: ExecutableCall, seed: int, *, in_turns: bool) -> tuple[float, float, str]:
    """Time the same call as A and as B; give both medians and the worse verdict."""
    settings = replace(SETTINGS, seed=seed)
    a, b = (Series(call=call, clock=monotonic_clock) for _ in range(2))
    outcomes = []
    for every in [[a, b]] if in_turns else [[a], [b]]:
        sampling = sample_in_rounds(every, settings, monotonic_clock, rewarm=in_turns)
        outcomes += [summarise(series, sampling) for series in every]
    verdict = min((latency.verdict for latency in outcomes), key=["INVALID", "NOISY", "OK"].index)
    return outcomes[0].median_s, outcomes[1].median_s, verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    prefer_synchronous_dispatch()
    print(
        f"{'batch':>5} {'order':18} {'A':>10} {'B / A':>7} {'sd':>7} {'smallest':>9} {'largest':>8}"
        f" {'within 1 %':>10} {'OK':>6}"
    )
    for batch in options.batch or [1, 32]:
        program = eg.compile(small_cnn(), batch=batch)
        call = ExecutableCall(program.executable, program_arguments(program))
        for in_turns in (False, True):
            runs = [medians(call, seed, in_turns=in_turns) for seed in range(options.repeats)]
            ratios = [b / a for a, b, _ in runs]
            within = sum(abs(ratio - 1) <= 0.01 for ratio in ratios)
            quiet = sum(verdict == "OK" for *_, verdict in runs)
            print(
                f"{batch:5} {'in turns' if in_turns else 'one after another':18}"
                f" {statistics.median(a for a, _, _ in runs) * 1e6:7.1f} us"
                f" {statistics.median(ratios):7.4f} {statistics.stdev(ratios):7.2%}"
                f" {min(ratios):9.4f} {max(ratios):8.4f} {within:7}/{len(runs)}"
                f" {quiet:3}/{len(runs)}"
            )


if __name__ == "__main__":
    main()
