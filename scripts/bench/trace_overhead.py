"""What an op trace costs, and how much of the program it covers.

A call with and without the profiler, by turns in short rounds, so that both see the same machine:

    python -m scripts.bench.trace_overhead
    python -m scripts.bench.trace_overhead --rounds 40

For each program: the untraced and traced medians, the ratio of the fastest calls of a round
(median over the rounds, with its 95 % bootstrap interval), and the shares of the traced time that
ops cover, from the first op to the last and of the whole call. The fastest calls, since what a
trace costs comes with every call, while a call whose threads share a core by chance takes twice as
long, traced or not.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from itertools import chain
from statistics import median
from time import perf_counter

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.analyze import priced
from edgegraph.hlo.graph import flatten
from edgegraph.measure.latency import ExecutableCall, prefer_synchronous_dispatch, program_arguments
from edgegraph.measure.trace import take_trace
from models.cnn import small_cnn
from models.mlp import mlp

CALLS = 5
UNFUSED = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_disable_hlo_passes": "fusion,cpu-instruction-fusion",
}


def timed(call: Callable[[], object], times: int) -> list[float]:
    """Time some calls."""
    taken = []
    for _ in range(times):
        started = perf_counter()
        call()
        taken.append(perf_counter() - started)
    return taken


def compare(call: Callable[[], object], rounds: int) -> tuple[list[list[float]], list[list[float]]]:
    """Time every round's calls, untraced and traced, in random order within a round."""
    untraced: list[list[float]] = []
    traced: list[list[float]] = []
    order = random.Random(0)

    def with_profiler() -> None:
        found: list[float] = []

        def work() -> None:
            timed(call, 2)  # the first traced call is slow
            found.extend(timed(call, CALLS))

        xla.profile(work, with_modules=False)
        traced.append(found)

    def without() -> None:
        timed(call, 2)
        untraced.append(timed(call, CALLS))

    for _ in range(rounds):
        for turn in order.sample([with_profiler, without], 2):
            turn()
    return untraced, traced


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the bootstrap interval of the median ratio."""
    order = random.Random(0)
    medians = sorted(median(order.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def main() -> None:
    """Print one line per program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    prefer_synchronous_dispatch()
    print("program                 untraced    traced  ratio  (95 % interval)  ops cover  of call")
    for workload, batch, options in (
        (small_cnn(), 32, {}),
        (small_cnn(), 32, UNFUSED),
        (small_cnn(), 1, UNFUSED),
        (mlp(), 32, UNFUSED),
    ):
        program = eg.compile(workload, batch=batch, options=options)
        call = ExecutableCall(program.executable, program_arguments(program))
        timed(call, 20)
        untraced, traced = compare(call, rounds)
        ratios = [min(after) / min(before) for before, after in zip(untraced, traced, strict=True)]
        low, high = interval(ratios)
        trace = priced(program, take_trace(program, flatten(program.module), steps=20))
        of_call = median(run.busy_s / (run.call_s or run.span_s) for run in trace.runs)
        name = f"{program.name} b{batch}{' unfused' if options else ''}"
        print(
            f"{name:22} {median(chain(*untraced)) * 1e6:7.0f} us"
            f" {median(chain(*traced)) * 1e6:6.0f} us"
            f"  {median(ratios):5.3f}  ({low:5.3f} to {high:5.3f})  {trace.coverage:8.1%}"
            f"  {of_call:7.1%}"
        )


if __name__ == "__main__":
    main()
