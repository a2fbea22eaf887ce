"""Print what EdgeGraph costs, in ratios that are each measured side by side in one run.

Every row runs in a fresh process. Another checkout runs the same rows by turns with this one, so
that a column says how many times as long it took; what it does not know yet has none.

    python scripts/bench/all.py
    python scripts/bench/all.py --against ../edgegraph-before
    python scripts/bench/all.py --row shell --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

Figures = Mapping[str, float]
"""By what they are of: seconds, MB, or ratios."""

SHELL = ("analyze", "models.cnn:small_cnn", "--batch", "1")
JAX_ALONE = """
import jax
from models.cnn import small_cnn
call = small_cnn().call(1)
jax.jit(call.function).lower(*call.abstract).compile()
"""


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Run a function once, and return its result and the seconds that it took."""
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def peak_mb() -> float:
    """Return the peak resident memory of this process so far, in MB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def large() -> Figures:
    """Analyse the train step of a transformer of 48 layers, save it and load it again."""
    import edgegraph as eg
    from scripts.bench.large_module import train_step

    program = eg.compile(train_step(48), batch=2)
    before = peak_mb()
    board = eg.devices()["rpi5"]
    analysis, analyze_s = timed(lambda: eg.analyze(program, device=board))
    extra = peak_mb() - before
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.edgegraph")
        _, save_s = timed(lambda: analysis.save(path))
        loaded, load_s = timed(lambda: eg.load(path))
        _, frames_s = timed(lambda: (loaded.ops, loaded.layers))
    return {
        "analyze / compile": analyze_s / (program.compile_s or float("nan")),
        "analyze, s": analyze_s,
        "extra MB over compiling": extra,
        "save / analyze": save_s / analyze_s,
        "load, s": load_s,
        "frames, s": frames_s,
    }


def shell() -> Figures:
    """Analyse SmallCNN from the shell, beside jax alone that compiles it."""
    command = [sys.executable, "-m", "edgegraph", *SHELL]
    _, alone_s = timed(lambda: run([sys.executable, "-c", JAX_ALONE]))
    _, counted_s = timed(lambda: run([*command, "--no-measure"]))
    _, measured_s = timed(lambda: run(command))
    return {
        "analyze, s": measured_s,
        "analyze --no-measure, s": counted_s,
        "jax compiles it alone, s": alone_s,
        "analyze --no-measure / jax alone": counted_s / alone_s,
    }


def tabulate() -> Figures:
    """Count ResNet-50 before optimisation, beside Flax's own table."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from models.resnet import RESNET50
    from scripts.bench.tabulate import count_with_edgegraph, count_with_flax, seconds

    network = RESNET50.module("nnx", "float32")(nnx.Rngs(0))
    network.eval()
    image = jax.block_until_ready(jnp.zeros((1, *RESNET50.input_shape)))
    count_with_edgegraph()  # the first one would pay for imports
    ours_s = seconds(count_with_edgegraph)
    theirs_s = seconds(lambda: count_with_flax(network, image))
    return {"count / nnx.tabulate": ours_s / theirs_s, "count, s": ours_s}


def calibrate() -> Figures:
    """Measure first roofs, and everything; how far the first ones lie from the others."""
    import edgegraph as eg

    first, first_s = timed(lambda: eg.calibrate(full=False, store=False))
    full, full_s = timed(lambda: eg.calibrate(store=False))
    found = {"first roofs, s": first_s, "everything, s": full_s}
    for dtype in ("f32", "bf16", "s8"):
        found[f"{dtype}, first / full"] = (
            first.peak_flops_per_s[dtype] / full.peak_flops_per_s[dtype]
        )
    rates = [
        {each.name: each.bandwidth_bytes_per_s for each in one.memory} for one in (first, full)
    ]
    return found | {f"{name}, first / full": rates[0][name] / rates[1][name] for name in rates[1]}


ROWS: Mapping[str, Callable[[], Figures]] = {
    "large": large, "shell": shell, "tabulate": tabulate, "calibrate": calibrate,
}  # fmt: skip


def run(command: list[str]) -> None:
    """Run a command of this checkout, which must succeed."""
    subprocess.run(command, check=True, capture_output=True)


def figures(row: str, tree: Path) -> Figures | None:
    """Measure a row of a checkout in a fresh process; None where it does not know it."""
    path = os.pathsep.join(map(str, (tree, ROOT)))
    command = [sys.executable, __file__, "--row", row, "--here"]
    ran = subprocess.run(
        command,
        cwd=tree,
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        print(f"{tree.name}, {row}: {ran.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    found: Figures = json.loads(ran.stdout.splitlines()[-1])
    return found


def middle(rounds: list[Figures]) -> Figures:
    """Return the medians over the rounds."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", action="append", choices=ROWS, help="only that; repeatable")
    parser.add_argument("--against", type=Path, help="another checkout, to be run by turns")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(ROWS[options.row[0]]()))
        return 0
    trees = [ROOT] if options.against is None else [ROOT, options.against.resolve()]
    print(
        f"{'row':10} {'figure':34} {'here':>9}"
        + f" {'there':>9} {'there / here':>13}" * (len(trees) - 1)
    )
    for row in options.row or ROWS:
        rounds: list[list[Figures]] = [[] for _ in trees]
        for _ in range(options.rounds):
            for found, tree in zip(rounds, trees, strict=True):
                one = figures(row, tree)
                found.extend([] if one is None else [one])
        if not rounds[0]:
            return 1
        sides = [middle(each) if each else {} for each in rounds]
        for name, value in sides[0].items():
            line = f"{row:10} {name:34} {value:9.3g}"
            if len(trees) > 1:
                other = sides[1].get(name, float("nan"))
                line += f" {other:9.3g} {other / value:13.2f}"
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
