"""Progress on stderr: a live line at a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float | None], None]

PLAIN_INTERVAL_S = 5.0
"""Where stderr is no terminal, a line at most this often; short work stays silent."""


@contextmanager
def progress(clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """Show what is being done until the block ends.

    Args:
        clock: Returns the seconds; for tests.

    Yields:
        A function to call with a message and a fraction from 0 to 1, or None where that is
        unknown.
    """
    if sys.stderr.isatty():
        with _live() as report:
            yield report
    else:
        yield _plain(clock)


@contextmanager
def _live() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as LiveProgress

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with LiveProgress(*columns, console=Console(stderr=True), transient=True) as live:
        task = live.add_task("", total=None)

        def report(message: str, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            live.update(task, description=message, total=total, completed=fraction or 0.0)

        yield report


def _plain(clock: Callable[[], float]) -> Progress:
    last = clock()

    def report(message: str, fraction: float | None) -> None:
        nonlocal last
        if clock() - last >= PLAIN_INTERVAL_S:
            last = clock()
            share = "" if fraction is None else f" ({fraction:.0%})"
            print(f"{message}{share}", file=sys.stderr, flush=True)

    return report
