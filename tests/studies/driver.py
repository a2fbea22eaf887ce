"""A sweep in a subprocess, to be killed: ``python -m tests.studies.driver PATH BATCHES``.

It says ``point`` after each one, and goes on when it is answered. Processes of this machine take
the points, or the Dask cluster whose address is the third argument.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import edgegraph as eg
from edgegraph.studies.sweep.plan import Plan, make_plans
from edgegraph.studies.sweep.run import choose_run, dask_executor, take_all
from tests.studies.tiny import tiny


def plans(batches: int) -> Sequence[Plan]:
    return make_plans(
        [tiny],
        targets=["cpu"],
        batches=range(1, batches + 1),
        dtypes=["float32", "bfloat16"],
        measure=False,
    )


def kill_at_point(number: int, path: Path, batches: int, *address: str) -> None:
    """Start the driver, and kill it when so many points are there."""
    command = [sys.executable, "-m", __name__, str(path), str(batches), *address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        for point in range(1, number + 1):
            assert driver.stdout.readline() == "point\n"
            if point < number:
                driver.stdin.write("go on\n")
        driver.kill()


def main(path: str, batches: str, *address: str) -> None:
    with eg.open_store(path) as store, ExitStack() as held:
        executor = held.enter_context(dask_executor(*address)) if address else None
        for _ in take_all(plans(int(batches)), run=choose_run(executor, 2), store=store):
            print("point", flush=True)
            sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
