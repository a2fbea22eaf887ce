"""The same program under every condition: cores, caches, blocking or pipelined.

Prints one row for each: how long a call takes when the next one waits for it, and how many get
done when they are handed over without waiting. Each row comes from a process of its own.

    python scripts/bench/latency_modes.py models.cnn:small_cnn --batch 1 --batch 32
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import edgegraph as eg
from edgegraph.base.units import seconds, si
from edgegraph.device.host import usable_cores
from edgegraph.measure.latency import measure_apart
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.throughput import measure_throughput
from edgegraph.results.timing import COLD, WARM


def print_modes(program: eg.Program, settings: MeasurementSettings) -> None:
    """Print the table of one program."""
    batch = program.batch or 1
    print(f"{program.name}, batch {batch}")
    print(
        f"  {'blocking':22} {'median':>9} {'p90':>9} {'launch':>9} {'1/median':>11} {'IQR':>6}"
        f" {'verdict':>8}"
    )
    everything = len(usable_cores())
    for cores in sorted({1, everything}, reverse=True):
        for cache in (WARM, COLD):
            one = measure_apart(program, cores=cores, cache=cache, settings=settings)
            print(
                f"  {cache + ', ' + str(cores) + ' core' + 's' * (cores > 1):22}"
                f" {seconds(one.median_s):>9} {seconds(one.p90_s):>9} {seconds(one.dispatch_s):>9}"
                f" {si(batch / one.median_s, '/s'):>11} {one.relative_iqr:6.1%} {one.verdict:>8}",
                flush=True,
            )
    print(
        f"  {'calls in flight':22} {'':9} {'':9} {'':9} {'samples':>11} {'IQR':>6} {'verdict':>8}"
    )
    for rate in measure_throughput(program, settings=settings):
        print(
            f"  {rate.queue_depth:<22} {'':9} {'':9} {'':9} {si(rate.samples_per_s, '/s'):>11}"
            f" {rate.relative_iqr:6.1%} {rate.verdict:>8}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", nargs="?", default="models.cnn:small_cnn")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    module, _, name = options.workload.partition(":")
    workload = getattr(importlib.import_module(module), name)()
    for batch in options.batch or [1, 32]:
        settings = MeasurementSettings.quick() if options.quick else MeasurementSettings()
        print_modes(eg.compile(workload, batch=batch), settings)


if __name__ == "__main__":
    main()
