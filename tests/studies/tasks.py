"""What other processes are handed, which start fast: nothing here imports jax."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from edgegraph.base.files import exclusive_lock


def square(number: int) -> int:
    return number * number


def deadly(task: tuple[int, str]) -> int:
    """Die at 3 always, and at 5 the first time."""
    number, folder = task
    mark = Path(folder) / "died"
    if number == 3 or (number == 5 and not mark.exists()):
        mark.touch() if number == 5 else None
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def silent(message: str, fraction: float | None) -> None:
    pass


def noted(number: int, notes: str, deadly: bool = False) -> None:
    """Note what happens while it has the machine, each line at once."""

    def note(what: str) -> None:
        with Path(notes).open("ab") as file:
            file.write(json.dumps([number, what]).encode() + b"\n")

    with exclusive_lock(silent):
        note("enter")
        if deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        note("leave")
