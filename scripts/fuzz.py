"""Run damaged HLO modules through EdgeGraph, and see that each is read or refused.

Every input is one of the corpus's modules with bytes or fields changed. It runs in a process of
its own kind: one gigabyte of address space, and twenty seconds for each input. What crashes,
hangs or fills the memory is kept as a file beside its traceback. XLA is left out: what comes
from outside reaches it in a subprocess only.

    python -m scripts.fuzz --inputs 10000
    python -m scripts.fuzz --inputs 1000000 --folder /var/tmp/fuzz     run again: it goes on
    python -m scripts.fuzz --inputs 100000 --engine atheris            guided by coverage
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.corpus.files import FILES, serialized
from tests.fuzz.child import STANDSTILL_S, Counts, made, read_seeds

BATCH = 20_000
"""Inputs per process."""

LARGEST_SEED_BYTES = 30_000
"""Large modules take long and show nothing that small ones do not."""


class Run:
    """What was done so far, kept in a folder."""

    def __init__(self, folder: Path, engine: str, seed: int) -> None:
        self.folder, self.engine, self.seed = folder, engine, seed
        for name in ("seeds", "failures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(FILES):
            if len(serialized(name)) <= LARGEST_SEED_BYTES:
                (folder / "seeds" / f"{number:03}.pb").write_bytes(serialized(name))
        self.counts = Counts(folder / "counts")
        self.state: dict[str, Any] = {
            "engine": engine, "seed": seed, "next": 0, "seconds": 0.0, "deaths": 0,
        }  # fmt: skip
        if self._path.exists():
            self.state = json.loads(self._path.read_text())
            if (self.state["engine"], self.state["seed"]) != (engine, seed):
                sys.exit(f"{folder} holds a run of another engine or seed; give another --folder")

    @property
    def _path(self) -> Path:
        return self.folder / "state.json"

    def batch(self, count: int) -> None:
        """Run the next inputs in a new process; if it dies, the next one goes on after it."""
        first, began = self.state["next"], time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz.child", self.folder, self.engine]
        with (self.folder / "stderr.txt").open("w") as stderr:
            child = subprocess.Popen(
                [*map(str, command), str(self.seed), str(first), str(count)],
                cwd=Path(__file__).parents[1],
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=stderr,
                stderr=stderr,
            )
            self._watch(child)
        if child.returncode == 0:
            self.state["next"] = max(self.counts["current"], first + 1)
        else:
            self._bury(child.returncode)
        self.state["seconds"] += time.monotonic() - began
        self._path.write_text(json.dumps(self.state))

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
                print(f"\r{current:>10,} inputs", end="", file=sys.stderr, flush=True)

    def _bury(self, code: int) -> None:
        """Keep the input that a process died of."""
        current = self.counts["current"]
        self.state["deaths"] += 1
        self.state["next"] = current + 1
        grave = self.folder / "failures" / f"death-{self.seed}-{current}"
        stderr = (self.folder / "stderr.txt").read_text(errors="replace")
        grave.with_suffix(".txt").write_text(f"exit code {code}\n{stderr[-20_000:]}")
        if self.engine == "mutators":
            seeds = read_seeds(self.folder / "seeds")
            grave.with_suffix(".pb").write_bytes(made(self.seed, current, seeds))

    def table(self) -> Table:
        """Return the figures."""
        table = Table(title=f"Damaged modules ({self.engine}, seed {self.seed})")
        for heading in ("inputs", "accepted", "refused", "failed", "deaths", "seconds", "peak MB"):
            table.add_column(heading, justify="right")
        counts = [self.counts[name] for name in ("accepted", "refused", "failed")]
        inputs = sum(counts) + self.state["deaths"]
        numbers = [inputs, *counts, self.state["deaths"]]
        table.add_row(
            *[f"{number:,}" for number in numbers],
            f"{self.state['seconds']:,.0f}",
            f"{self.counts['peak_bytes'] / 1e6:,.0f}",
        )
        return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="how many (10,000)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (0)")
    parser.add_argument("--engine", choices=("mutators", "atheris"), default="mutators")
    parser.add_argument("--folder", type=Path, help="where failures are kept, to go on later")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="edgegraph-fuzz-"))
    run = Run(folder, options.engine, options.seed)
    while run.state["next"] < options.inputs:
        run.batch(min(BATCH, options.inputs - run.state["next"]))
    print("\r", end="", file=sys.stderr)
    Console().print(run.table())
    failures = sorted((folder / "failures").iterdir())
    for path in failures:
        print(path)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
