"""Files written whole or not at all, the cache folder, and locks between processes.

What compiles shares the machine with others that compile; what is timed has it to itself. The
turns are locks on files in the user's runtime folder, so that they hold between all processes of
a user on a machine, whoever started them, and are free again when a process ends.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO

import platformdirs
import portalocker
from portalocker import AlreadyLocked, LockFlags

from edgegraph.base.timing import Progress
from edgegraph.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary path beside `path`, which takes its place when all went well.

    Whatever ends the block early, Ctrl-C too, leaves the old file as it was. An InputError says
    that the folder does not exist or cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists and can"
            " be written"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


safe_csv: ContextVar[bool] = ContextVar("safe_csv", default=False)
"""Whether text in CSV files that a spreadsheet would run as a formula is made text for it, too."""

CACHE_FOLDER_VARIABLE = "EDGEGRAPH_CACHE_DIR"


def cache_folder() -> Path:
    """Return the user's cache folder, or what ``EDGEGRAPH_CACHE_DIR`` names; it need not exist."""
    return Path(os.environ.get(CACHE_FOLDER_VARIABLE) or platformdirs.user_cache_dir("edgegraph"))


def shared_lock(report: Progress) -> AbstractContextManager[None]:
    """Compile alongside others that compile, while nothing is timed."""
    return _held(LockFlags.SHARED, report)


def exclusive_lock(report: Progress) -> AbstractContextManager[None]:
    """Time something while nothing else is timed or compiled."""
    return _held(LockFlags.EXCLUSIVE, report)


@contextmanager
def _held(how: LockFlags, report: Progress) -> Iterator[None]:
    """Hold the machine; whoever waits for it queues up, so that nobody waits forever."""
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
