"""How often does a comparison see a difference that is not there, or miss one that is?

Compares programs with themselves (A/A), and with ones that do 10 % more, each many times, and
prints what the verdicts were. With --busy a second process keeps one core busy meanwhile: then
every verdict must be NOISY, that of the latency too. With --bursts it does so for half a second
now and then, a quarter of the time: a verdict may be NOISY, but not wrong in over 5 of 100, and of
100 slowdowns 80 must be found.

    python scripts/bench/same_or_slower.py --runs 100
    python scripts/bench/same_or_slower.py --runs 5 --busy
    python scripts/bench/same_or_slower.py --runs 100 --case layers --bursts
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import lax

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import edgegraph as eg
from edgegraph.measure.compare import SETTINGS
from edgegraph.measure.latency import measure_apart
from edgegraph.results.timing import TimingComparison
from models.cnn import small_cnn

FAITHFUL_OF_100 = 95
FOUND_OF_100 = 90
FOUND_IN_BURSTS = 80

BUSY = "while True: pass"
BURSTS = """
import random, time
drawn = random.Random(0)
while True:
    time.sleep(drawn.expovariate(1 / 1.5))
    until = time.monotonic() + drawn.expovariate(1 / 0.5)
    while time.monotonic() < until:
        pass
"""


def small() -> tuple[eg.Program, None]:
    """Return SmallCNN at batch 8, a third of a millisecond on both cores."""
    return eg.compile(small_cnn(), batch=8), None


def layers() -> tuple[eg.Program, eg.Program]:
    """Return 400 small dense layers in a loop, about a millisecond; and 440 of them."""

    def run(x: jax.Array, weights: jax.Array, count: int) -> jax.Array:
        out: jax.Array = lax.fori_loop(0, count, lambda _, held: jnp.tanh(held @ weights), x)
        return out

    args = jnp.ones((16, 96)), jnp.full((96, 96), 0.01)
    first, second = (
        eg.compile(lambda x, w, n=count: run(x, w, n), *args, name=f"{count} layers")
        for count in (400, 440)
    )
    return first, second


def products() -> tuple[eg.Program, eg.Program]:
    """Return products of large matrices on all cores, about 4 ms; and 10 % more columns of them."""
    weights = jnp.full((1024, 1024), 0.01)
    first, second = (
        eg.compile(
            lambda x, w: x @ w, jnp.ones((rows, 1024)), weights, name=f"{rows} x 1024 x 1024"
        )
        for rows in (640, 704)
    )
    return first, second


CASES: dict[str, Callable[[], tuple[eg.Program, eg.Program | None]]] = {
    "SmallCNN": small,
    "layers": layers,
    "products": products,
}


@contextmanager
def busy_process(code: str | None) -> Iterator[None]:
    """Run other work while the block does; None for none."""
    if code is None:
        yield
        return
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        child.kill()
        child.wait()


def compare_often(
    first: eg.Program, second: eg.Program, runs: int, seed: int
) -> list[TimingComparison]:
    """Compare two programs as often as asked, and show how far it is."""
    found = []
    for run in range(runs):
        settings = replace(SETTINGS, seed=seed + 1000 * run)
        found.append(eg.compare_timings(first, second, settings=settings))
        print(f"\r{first.name} / {second.name}: {run + 1} of {runs}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return found


def row(label: str, found: list[TimingComparison], right: str, elapsed_s: float) -> str:
    """Write a line of the table."""
    verdicts = Counter(one.verdict for one in found)
    ratios = [one.ratio for one in found]
    halves = [(one.interval[1] - one.interval[0]) / 2 for one in found]
    spread = statistics.stdev(ratios) if len(ratios) > 1 else 0.0
    hits = f"{verdicts[right]}/{len(found)}"
    return (
        f"{label:28} {statistics.median(one.first_s for one in found) * 1e3:7.3f} ms"
        f" {statistics.median(ratios):6.3f} {spread:7.2%} {statistics.median(halves):7.2%}"
        f" {verdicts['no difference']:6} {verdicts['slower']:6} {verdicts['faster']:6}"
        f" {verdicts['NOISY']:5} {hits:>8} {elapsed_s / len(found):6.1f} s"
    )


def main() -> int:
    """Print both tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", action="store_true", help="keep a core busy meanwhile")
    parser.add_argument("--bursts", action="store_true", help="keep a core busy now and then")
    parser.add_argument("--case", action="append", choices=CASES)
    options = parser.parse_args()
    cases = {name: CASES[name]() for name in options.case or CASES}
    kept = True
    disturbed = BUSY if options.busy else BURSTS if options.bursts else None
    with busy_process(disturbed):
        for title, same in (("the same program", True), ("10 % more work", False)):
            right = "NOISY" if options.busy else "no difference" if same else "slower"
            least = FAITHFUL_OF_100 if options.busy or same else FOUND_OF_100
            least = FOUND_IN_BURSTS if options.bursts and not same else least
            print(
                f"{title:28} {'first':>10} {'ratio':>6} {'sd':>7} {'+-':>7} {'no dif':>6}"
                f" {'slower':>6} {'faster':>6} {'NOISY':>5}  want: {right}"
            )
            for number, (first, second) in enumerate(cases.values()):
                other = first if same else second
                if other is None:
                    continue
                started = time.perf_counter()
                found = compare_often(first, other, options.runs, seed=number)
                label = first.name if same else other.name
                print(row(label, found, right, time.perf_counter() - started), flush=True)
                # In bursts it may say nothing of what is the same, but nothing false.
                may = {right, "NOISY"} if options.bursts and same else {right}
                hits = sum(one.verdict in may for one in found)
                kept = kept and 100 * hits >= least * options.runs
        if options.busy:
            latency = measure_apart(next(iter(cases.values()))[0])
            print(f"latency meanwhile: {latency.verdict} ({'; '.join(latency.reasons)})")
            kept = kept and latency.verdict != "OK"
    print("as it must be" if kept else "NOT as it must be")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
