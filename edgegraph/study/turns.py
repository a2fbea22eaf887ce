"""Taking turns on one machine: nothing is timed beside another timing, or beside a compiler.

Whatever compiles shares the machine with others that compile; whatever is timed has it alone. The
turns are locks on files in the user's runtime folder, so that they hold between all processes of
a user on a machine, whoever started them, and are free again when a process ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

import platformdirs
import portalocker
from portalocker import AlreadyLocked, LockFlags

from edgegraph.errors import InputError

Progress = Callable[[str, float | None], None]


@contextmanager
def shared_lock(report: Progress) -> Iterator[None]:
    """Compile beside others that compile, while nothing is timed.

    Raises:
        InputError: The runtime folder cannot be written.
    """
    with _held(LockFlags.SHARED, report):
        yield


@contextmanager
def exclusive_lock(report: Progress) -> Iterator[None]:
    """Time something while nothing else is timed or compiled.

    Raises:
        InputError: The runtime folder cannot be written.
    """
    with _held(LockFlags.EXCLUSIVE, report):
        yield


@contextmanager
def _held(how: LockFlags, report: Progress) -> Iterator[None]:
    """Hold the machine; who waits for it stands in line, so that nobody waits for ever."""
    with ExitStack() as leaving:
        machine = leaving.enter_context(_file("machine.lock"))
        with _file("line.lock") as line:
            _lock(line, LockFlags.EXCLUSIVE, report)
            _lock(machine, how, report)
        yield


def _lock(file: IO[bytes], how: LockFlags, report: Progress) -> None:
    """Lock a file until it is closed."""
    with suppress(AlreadyLocked):
        return portalocker.lock(file, how | LockFlags.NON_BLOCKING)
    report("waiting for others on this machine", None)
    while True:  # Windows waits for ten seconds only
        with suppress(AlreadyLocked):
            return portalocker.lock(file, how)


def _file(name: str) -> IO[bytes]:
    with warnings.catch_warnings():
        # Where the system has no such folder, platformdirs says so and takes a temporary one.
        warnings.simplefilter("ignore")
        folder = platformdirs.user_runtime_path("edgegraph")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("ab")
    except OSError as error:
        raise InputError(
            f"cannot take turns with others on this machine: {folder / name} cannot be written"
            f" ({error.strerror or error}); set XDG_RUNTIME_DIR to a folder that can be"
        ) from error
