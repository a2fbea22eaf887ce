"""Run damaged inputs of every kind through EdgeGraph, and see that each is read or refused.

Every input is an undamaged one with bytes, fields, words or cells changed, of one of the kinds in
`tests.fuzz.kinds`. It runs in a process with little memory, and may take twenty seconds. What
crashes, hangs or fills the memory is kept as a file beside its traceback. XLA is left out: what
comes from outside reaches it in a subprocess only. The text of HLO and MLIR it reads in this
process all the same. What it ends the process on is tried again as a user has it read, in a
process of its own: the table counts it under `outside` where that reads or refuses it.

    python -m scripts.fuzz --inputs 10000                   that many of every kind
    python -m scripts.fuzz --kind limits --kind database    of these kinds
    python -m scripts.fuzz --inputs 1000000 --folder /var/tmp/fuzz     run again: it goes on
    python -m scripts.fuzz --kind HLO --engine atheris      guided by coverage
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.fuzz.child import STANDSTILL_S, Counts, made, read_seeds
from tests.fuzz.kinds import KINDS
from tests.fuzz.seeds import SEEDS

BATCH = 20_000
"""Inputs per process."""


class Run:
    """What was done so far with one kind, kept in a folder."""

    def __init__(self, folder: Path, engine: str, seed: int, kind: str = "HLO") -> None:
        self.folder, self.engine, self.seed, self.kind = folder, engine, seed, kind
        for name in ("seeds", "failures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if not any((folder / "seeds").iterdir()):
            for number, seed_bytes in enumerate(SEEDS[kind]()):
                (folder / "seeds" / f"{number:03}").write_bytes(seed_bytes)
        self.counts = Counts(folder / "counts")
        self.state: dict[str, Any] = {
            "engine": engine, "seed": seed, "next": 0, "seconds": 0.0, "deaths": 0, "outside": 0,
        }  # fmt: skip
        if self._path.exists():
            self.state = json.loads(self._path.read_text())
            if (self.state["engine"], self.state["seed"]) != (engine, seed):
                sys.exit(f"{folder} holds a run of another engine or seed; give another --folder")

    @property
    def _path(self) -> Path:
        return self.folder / "state.json"

    @property
    def failures(self) -> list[Path]:
        """What was kept of failures and deaths."""
        return sorted((self.folder / "failures").iterdir())

    def batch(self, count: int) -> None:
        """Run the next inputs in a new process; if it dies, the next one goes on after it."""
        first, began = self.state["next"], time.monotonic()
        code = self._child(self.engine, first, count)
        current = self.counts["current"]
        if code == 0:
            self.state["next"] = max(current, first + 1)
        elif code == 1 and current <= first:
            sys.exit((self.folder / "stderr.txt").read_text(errors="replace"))  # it cannot begin
        else:
            self.state["next"] = current + 1
            if KINDS[self.kind].foreign and self._child("as-a-user", current, 1) == 0:
                self.state["outside"] += 1
            else:
                self._bury(current, code)
        self.state["seconds"] += time.monotonic() - began
        self._path.write_text(json.dumps(self.state))

    def _child(self, engine: str, first: int, count: int) -> int:
        """Run inputs in a process, and return its exit code."""
        command = [sys.executable, "-m", "tests.fuzz.child", self.folder, self.kind, engine]
        more = {
            "OPENBLAS_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "EDGEGRAPH_CACHE_DIR": str(self.folder / "cache"),
        }
        with (self.folder / "stderr.txt").open("w") as stderr:
            child = subprocess.Popen(
                [*map(str, command), str(self.seed), str(first), str(count)],
                cwd=Path(__file__).parents[1],
                env=os.environ | more,
                stdout=stderr,
                stderr=stderr,
            )
            self._watch(child)
        return child.returncode

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for a process, but not while it stands still."""
        last, since = -1, time.monotonic()
        while child.poll() is None:
            try:
                child.wait(timeout=1)
            except subprocess.TimeoutExpired:
                current = self.counts["current"]
                if current != last:
                    last, since = current, time.monotonic()
                elif time.monotonic() - since > STANDSTILL_S:
                    child.kill()
                print(f"\r{self.kind}: {current:>10,} inputs", end="", file=sys.stderr, flush=True)

    def _bury(self, number: int, code: int) -> None:
        """Keep the input that a process died of."""
        self.state["deaths"] += 1
        grave = self.folder / "failures" / f"death-{self.seed}-{number}"
        stderr = (self.folder / "stderr.txt").read_text(errors="replace")
        grave.with_suffix(".txt").write_text(f"exit code {code}\n{stderr[-20_000:]}")
        if self.engine == "mutators":
            seeds = read_seeds(self.folder / "seeds")
            grave.with_suffix(".input").write_bytes(made(self.kind, self.seed, number, seeds))


def table(runs: Iterable[Run]) -> Table:
    """Return the figures, a row for each kind."""
    table = Table(title="Damaged inputs", box=box.SIMPLE)
    table.add_column("kind")
    for heading in (
        "inputs", "accepted", "refused", "outside", "failed", "deaths", "seconds", "per second",
        "peak MB",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for run in runs:
        accepted, refused, failed = (run.counts[name] for name in ("accepted", "refused", "failed"))
        deaths, outside, seconds = (run.state[name] for name in ("deaths", "outside", "seconds"))
        inputs = accepted + refused + failed + deaths
        rate = inputs / max(seconds, 1e-9)
        numbers = [inputs, accepted, refused, outside, failed, deaths, seconds, rate]
        peak = run.counts["peak_bytes"] / 1e6
        table.add_row(run.kind, *[f"{number:,.0f}" for number in (*numbers, peak)])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="how many of a kind (10,000)")
    parser.add_argument("--kind", action="append", choices=[*KINDS], help="which (all); repeatable")
    parser.add_argument("--seed", type=int, default=0, help="which ones (0)")
    parser.add_argument("--engine", choices=("mutators", "atheris"), default="mutators")
    parser.add_argument("--folder", type=Path, help="where failures are kept, to go on later")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="edgegraph-fuzz-"))
    runs = []
    for kind in options.kind or KINDS:
        run = Run(folder / kind.replace(" ", "-"), options.engine, options.seed, kind)
        runs.append(run)
        while run.state["next"] < options.inputs:
            run.batch(min(BATCH, options.inputs - run.state["next"]))
    print("\r", end="", file=sys.stderr)
    Console().print(table(runs))
    failures = [path for run in runs for path in run.failures]
    for path in failures:
        print(path)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
