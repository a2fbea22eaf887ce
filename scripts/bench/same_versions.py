"""How often does `edgegraph regress` see a difference between a version and itself?

Runs it over environments that are the same, on a few small programs in turns, each pair in fresh
processes, and prints a row for each pair and what was claimed: of the whole, of a layer, of the
time to compile, of the optimised program. All of these are false alarms. What was seen is kept in a
file, a line for each pair: run again, it goes on there.

    python scripts/bench/same_versions.py --pairs 50 --jax 0.10.2 --kept out/same_versions.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    import edgegraph as eg

PROCESSES, SECONDS = 3, 0.8
"""Of a pair: as `--quick` has it, with shorter turns."""


def network(x: jax.Array) -> jax.Array:
    """Go through four dense layers, about a tenth of a millisecond."""
    for number in range(4):
        with jax.named_scope(f"dense{number}"):
            x = jnp.tanh(x @ x)
    return x


def loop(x: jax.Array) -> jax.Array:
    """Run 200 small products in a loop."""
    with jax.named_scope("steps"):
        out: jax.Array = jax.lax.fori_loop(0, 200, lambda _, held: jnp.tanh(held @ x), x)
    return out


def elementwise(x: jax.Array) -> jax.Array:
    """Stream an array through two passes that do not fuse."""
    with jax.named_scope("normalise"):
        x = (x - x.mean(1, keepdims=True)) / (1e-3 + x.std(1, keepdims=True))
    with jax.named_scope("softmax"):
        return jax.nn.softmax(x, axis=1)


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve an image twice."""
    for number in range(2):
        with jax.named_scope(f"conv{number}"):
            x = jax.nn.relu(jax.lax.conv(x, kernel, (1, 1), "SAME"))
    return x


def order(x: jax.Array) -> jax.Array:
    """Sort rows, add them up by segments, and take a gradient of that."""
    with jax.named_scope("sort"):
        x = jnp.sort(x, axis=1)
    with jax.named_scope("segments"):
        summed = jax.ops.segment_sum(x, jnp.arange(x.shape[0]) % 7, 7)
    with jax.named_scope("differences"):
        gradient: jax.Array = jax.grad(lambda one: jnp.sum((one - summed[0]) ** 2))(x)
    return gradient


PROGRAMS: dict[str, list[str]] = {
    "network": ["x=f32[128,128]"],
    "loop": ["x=f32[48,48]"],
    "elementwise": ["x=f32[512,512]"],
    "convolution": ["x=f32[1,16,48,48]", "kernel=f32[16,16,3,3]"],
    "order": ["x=f32[128,64]"],
}
"""Names of the functions above, with their arguments."""


def one_pair(number: int, version: str) -> dict[str, Any]:
    """Hold a version against itself; return what was seen, as JSON."""
    import edgegraph as eg

    name = list(PROGRAMS)[number % len(PROGRAMS)]
    started = time.monotonic()
    study = eg.regress(
        f"{Path(__file__).resolve()}:{name}",
        args=PROGRAMS[name],
        jax=[version, version],
        processes=PROCESSES,
        seconds=SECONDS,
    )
    timing = study.timing
    return {
        "pair": number,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "program": name,
        "verdict": study.verdict,
        "ratio": None if timing is None else timing.ratio,
        "interval": None if timing is None else timing.interval,
        "control": None if timing is None else timing.control_interval,
        "alarms": alarms(study),
        "notes": study.notes,
        "took_s": time.monotonic() - started,
    }


def alarms(study: eg.Regression) -> list[str]:
    """Return what a study of a version against itself claims to differ."""
    claimed = ("slower", "faster")
    said = [f"whole {study.verdict}"] if study.verdict in claimed else []
    said += [f"{each.layer} {each.verdict}" for each in study.layers if each.verdict in claimed]
    compiling = study.compile_time.verdict if study.compile_time else None
    said += [f"compiling {compiling}"] if compiling in claimed else []
    said += [] if study.same_program else ["another program"]
    said += [f"whose: {study.whose}"] if study.whose else []
    return said


def shown(row: dict[str, Any]) -> str:
    """Write a pair in a line."""
    low, high = row["interval"] or (float("nan"),) * 2
    return (
        f"{row['pair']:4} {row['program']:12} {row['verdict']:14} {row['ratio']:6.3f}"
        f" ({low:.3f} to {high:.3f}) {row['took_s']:5.0f} s  {'; '.join(row['alarms'])}"
    )


def main() -> int:
    """Run the pairs that are not kept yet; return 1 where one was a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--jax", default=jax.__version__)
    parser.add_argument("--kept", type=Path, default=Path("out/same_versions.jsonl"))
    options = parser.parse_args()
    options.kept.parent.mkdir(parents=True, exist_ok=True)
    lines = options.kept.read_text("utf-8").splitlines() if options.kept.exists() else []
    rows = [json.loads(line) for line in lines]
    for row in rows:
        print(shown(row))
    for number in range(len(rows), options.pairs):
        rows.append(one_pair(number, options.jax))
        with options.kept.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps(rows[-1]) + "\n")
        print(shown(rows[-1]), flush=True)
    false = sum(bool(row["alarms"]) for row in rows)
    verdicts = Counter(row["verdict"] for row in rows)
    said = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    print(f"{len(rows)} pairs of jax {options.jax}: {said}; {false} with a false alarm")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
