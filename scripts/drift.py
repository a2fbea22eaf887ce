"""Print what changed between versions of jax: ops, fusions, library calls, names, counts, traces.

A fixed set of small programs (`scripts/drift_programs.py`) is compiled for the CPU with each
version, in an environment that is made for it once and kept, and each version is held against the
one before it.

    python -m scripts.drift --jax 0.10.2 0.12.0.1 --python 3.13
    python -m scripts.drift --jax 0.10.2 0.11.0 0.12.0.1 --python 3.13 --markdown
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import edgegraph as eg

PROGRAMS = Path(__file__).with_name("drift_programs.py")

MOST_NAMES = 4


def seen(version: str, python: str | None) -> Mapping[str, Any]:
    """Return what a version makes of the programs.

    Raises:
        EdgeGraphError: It does not install, or the programs do not run.
    """
    requirements = [f"jax=={version}", f"jaxlib=={version}"]
    interpreter = eg.make_environment(requirements, python=python, progress=told)
    quiet = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(
        [str(interpreter), str(PROGRAMS)], capture_output=True, text=True, env=os.environ | quiet
    )
    if ran.returncode:
        raise eg.EdgeGraphError(f"jax {version}: {ran.stderr.strip().splitlines()[-1]}")
    found: Mapping[str, Any] = json.loads(ran.stdout)
    return found


def told(message: str, _: float | None) -> None:
    print(message, file=sys.stderr, flush=True)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield what changed: program, what of it, how it was and how it is."""
    for program, was in before["programs"].items():
        now = after["programs"].get(program, {})
        for what in {**was, **now}:
            if was.get(what) != now.get(what):
                yield program, what, *differing(was.get(what), now.get(what))


def differing(before: Any, after: Any) -> tuple[str, str]:
    """Write two values; of counts and names only what differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        was, now = (
            [f"{name} {each[name]}" for name in names if name in each] for each in (before, after)
        )
        return listed(was), listed(now)
    if isinstance(before, list) and isinstance(after, list):
        gone = [name for name in before if name not in after]
        return listed(gone), listed([name for name in after if name not in before])
    return written(before), written(after)


def listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more or "-"


def written(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, float | int) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", nargs="+", required=True, help="versions, the oldest first")
    parser.add_argument("--python", help="a version of Python that all of them have, such as 3.13")
    parser.add_argument("--markdown", action="store_true", help="print it as Markdown")
    options = parser.parse_args()
    if len(options.jax) < 2:
        parser.error("--jax needs two versions at least")
    try:
        found = [seen(version, options.python) for version in options.jax]
    except eg.EdgeGraphError as error:
        sys.exit(f"drift: error: {error}")
    for before, after in pairwise(found):
        show(before["jax"], after["jax"], list(changes(before, after)), markdown=options.markdown)
    return 0


def show(before: str, after: str, rows: list[tuple[str, ...]], *, markdown: bool) -> None:
    """Print one table, or that nothing changed."""
    headings = ("program", "what", before, after)
    if not rows:
        print(f"nothing changed between {before} and {after}")
    elif markdown:
        bar = "\\|"
        for row in (headings, ("---",) * 4, *rows):
            print(f"| {' | '.join(cell.replace('|', bar) for cell in row)} |")
    else:
        table = Table(*headings, box=box.SIMPLE)
        for row in rows:
            table.add_row(*row)
        Console(width=None if sys.stdout.isatty() else 160, markup=False).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
