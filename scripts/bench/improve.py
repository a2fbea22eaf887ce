"""Improve the zoo: how many times faster each network becomes, in one table.

Every program is improved by exact rules, timed against the plain one in fresh processes with a
control, and compiled once more plain and improved. Every change that was kept is timed again, to
see whether it ever loses. What was measured is kept in a file, from which the next run goes on.

    python scripts/bench/improve.py                                   # out/improve.jsonl, all
    python scripts/bench/improve.py --model mobilenet_v2 --batch 1 --train
    python scripts/bench/improve.py --table                           # of what is in the file
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import numpy as np

import edgegraph as eg
from edgegraph.base.timing import monotonic_clock
from edgegraph.base.units import seconds
from edgegraph.rewrites.rewriter import find_sites
from edgegraph.rewrites.rule import form_named
from edgegraph.studies.improve.search import time_in_turns
from models.published import NETWORKS

KEPT = Path(__file__).resolve().parents[2] / "out" / "improve.jsonl"
UNTRAINED = ("vit_b16", "transformer_prefill", "transformer_decode")
SECONDS, PROCESSES, AGAIN = 60.0, 5, 3
AGAIN_SECONDS = 0.2
SHORTEST_SECONDS, LEAST_ROUNDS = 10.0, 5
WORTH = 1.1
"""Times as fast, from which on a program counts as faster."""

Record = dict[str, Any]


def improved(spec: str, batch: int, again: int, processes: int) -> Record:
    """Improve one program and return what the table shows of it."""
    module, _, name = spec.partition(":")
    workload = getattr(importlib.import_module(module), name)()
    start = perf_counter()
    study = eg.improve(workload, batch=batch, seconds=SECONDS, processes=processes)
    elapsed = perf_counter() - start
    timing = study.timing
    kept = bool(study.decisions)
    jax.clear_caches()
    both = [
        eg.compile(each, batch=batch)
        for each in ((workload, study.improved_workload) if kept else ())
    ]
    rows: dict[str, list[float]] = {}
    for change in study.changes:
        if change.kept:
            rows.setdefault(change.title, []).append(change.executions)
    here = study.environment
    return {
        "program": name,
        "batch": batch,
        "jax": here.jax,
        "processor": here.processor,
        "cores": here.affinity,
        "day": here.created_at[:10],
        "before_s": timing and timing.first_s,
        "after_s": timing and timing.second_s,
        "ratio": timing and timing.ratio,
        "interval": timing and list(timing.interval),
        "kept": {title: sum(executions) for title, executions in rows.items()},
        "faster": kept and study.faster,
        "error": study.error,
        "compile_s": [each.compile_s for each in both],
        "shortest_s": shortest(both) if both else None,
        "again": timed_again(workload, batch, study.decisions, again),
        "elapsed_s": elapsed,
        "untried": len(study.untried),
    }


def shortest(programs: Sequence[eg.Program]) -> list[float]:
    """Run two programs in turns, and return the shortest time of each, in seconds.

    Neighbours on the machine disturb it least.
    """
    arguments = [program.concrete() for program in programs if program.concrete is not None]
    times: list[list[float]] = [[], []]
    end = perf_counter() + SHORTEST_SECONDS
    while len(times[0]) < LEAST_ROUNDS or perf_counter() < end:
        for program, given, found in zip(programs, arguments, times, strict=True):
            start = perf_counter()
            jax.block_until_ready(program.executable(*given))
            found.append(perf_counter() - start)
    return [min(each) for each in times]


def timed_again(
    workload: eg.Workload, batch: int, decisions: Mapping[str, str], times: int
) -> list[float]:
    """Time every kept change alone again, and return how many times faster it was each time."""
    call = workload.call(batch)
    gains = []
    for found in find_sites(jax.make_jaxpr(call.function)(*call.abstract)) if decisions else ():
        rule = decisions.get(found.site.signature)
        if rule is None:
            continue
        drawn = np.random.default_rng(0)
        operands = [
            jax.numpy.asarray(drawn.standard_normal(each.shape), each.dtype)
            for each in found.site.operands
        ]
        compiled = {
            name: jax.jit(function).lower(*operands).compile()
            for name, function in (
                ("plain", found.site.plain),
                ("form", form_named(found.site, rule)),
            )
        }
        for seed in range(times):
            each = time_in_turns(compiled, operands, monotonic_clock, seed, seconds=AGAIN_SECONDS)
            gains.append(each["plain"] / each["form"] if "form" in each else 0.0)
    return gains


def programs(
    models: Sequence[str], batches: Sequence[int], train: bool
) -> Iterator[tuple[str, int]]:
    """Yield what to improve: inference at every batch size first, then train steps at batch 1."""
    chosen = [
        network.spec
        for network in NETWORKS
        if not models or network.spec.partition(":")[2] in models
    ]
    if models:
        chosen.sort(key=lambda spec: models.index(spec.partition(":")[2]))
    yield from ((spec, batch) for batch in batches for spec in chosen)
    if train:
        yield from (
            (f"{spec}_train", 1) for spec in chosen if spec.partition(":")[2] not in UNTRAINED
        )


def read(path: Path) -> list[Record]:
    """Return the records of a file, the newest of each program; none where there is no file."""
    if not path.exists():
        return []
    records = map(json.loads, path.read_text("utf-8").splitlines())
    newest = {(each["program"], each["batch"], each["jax"]): each for each in records}
    return list(newest.values())


def table(records: Sequence[Record]) -> Iterator[str]:
    """Yield the lines of the table, as Markdown, and what follows from it."""
    yield _line(
        "program", "batch", "jax", "before", "after", "times as fast", "95 % interval", "error",
        "shortest", "compile",
    )  # fmt: skip
    yield _line(*["---"] * 10)
    for each in records:
        cells = ["nothing kept", "", "", "", "", ""]
        if each["kept"]:
            low, high = each["interval"]
            plain, after = each["compile_s"]
            first, second = each["shortest_s"]
            cells = [
                seconds(each["after_s"]),
                f"{1 / each['ratio']:.3g}" if each["faster"] else "no gain that can be told",
                f"{1 / high:.3g} to {1 / low:.3g}",
                f"{each['error']:.0e}" if each["error"] else "0",
                f"{seconds(first)} -> {seconds(second)}, {first / second:.3g} times",
                f"x {after / plain:.2g}",
            ]
        before = seconds(each["before_s"]) if each["before_s"] else "?"
        yield _line(each["program"], str(each["batch"]), each["jax"], before, *cells)
    faster = sum(each["faster"] and WORTH * each["ratio"] <= 1 for each in records)
    again = [gain for each in records for gain in each["again"]]
    yield ""
    yield f"{faster} of {len(records)} programs are at least 10 % faster."
    yield (
        f"Kept changes were timed alone again {len(again)} times, and were slower than the plain"
        f" form in {sum(gain < 1 for gain in again)}."
    )
    grown = [each["compile_s"][1] / each["compile_s"][0] for each in records if each["compile_s"]]
    if grown:
        yield (
            f"Compile time grew {statistics.median(grown):.2g} times in the median,"
            f" {max(grown):.2g} at most."
        )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Improve what is not in the file yet, and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", default=[], help="a function of the zoo")
    parser.add_argument("--batch", type=int, action="append", help="1 and 8 by default")
    parser.add_argument("--train", action="store_true", help="train steps at batch 1, too")
    parser.add_argument("--anew", action="store_true", help="measure what is in the file, too")
    parser.add_argument("--again", type=int, default=AGAIN, help="times to time a kept change")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--keep", type=Path, default=KEPT, help="file of measurements")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    options = parser.parse_args()
    known = {(each["program"], each["batch"], each["jax"]) for each in read(options.keep)}
    options.keep.parent.mkdir(parents=True, exist_ok=True)
    chosen = programs(options.model, options.batch or [1, 8], options.train)
    for spec, batch in () if options.table else chosen:
        key = (spec.partition(":")[2], batch, jax.__version__)
        if key in known and not options.anew:
            continue
        try:
            record = improved(spec, batch, options.again, options.processes)
        except eg.EdgeGraphError as error:
            print(f"{spec} at batch {batch}: {error}", file=sys.stderr)
            continue
        with options.keep.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        print(*list(table([record]))[2:3], file=sys.stderr, flush=True)
        jax.clear_caches()
    print(*table(read(options.keep)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
