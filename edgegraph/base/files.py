"""Files written whole or not at all, the cache folder, and locks between processes.

What compiles shares the machine with others that compile; what is timed has it to itself. The
turns are locks on files in the user's runtime folder, so that they hold between all processes of
a user on a machine, whoever started them, and are free again when a process ends.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO

import platformdirs

from edgegraph.base.timing import Progress
from edgegraph.errors import InputError

stdout_descriptor = 1
"""Where ``/dev/stdout`` leads; the command line keeps 1 for what is no result."""

_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary path, whose content takes the place of the file when all went well.

    Whatever ends the block early, Ctrl-C too, leaves the old file as it was. The file keeps its
    mode, a new one has that of the umask; a symbolic link stays, and what it leads to is replaced.
    What is no regular file, such as a device or a pipe, is written to. An InputError says that the
    folder does not exist or cannot be written.
    """
    stream, place = is_stream(path), Path(os.path.realpath(path))
    folder = Path(tempfile.gettempdir()) if stream else place.parent
    temporary = folder / f".{path.name[:100]}.{secrets.token_hex(6)}.part"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists and can"
            " be written"
        ) from error
    try:
        yield temporary
        if stream:
            _write_to(path, temporary)
            return
        with suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(place.stat().st_mode))
        temporary.replace(place)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def is_there(path: str | Path) -> bool:
    """Return whether a file or folder is there; none is of a name that no system takes."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def is_stream(path: Path) -> bool:
    """Return whether a path names something to write to, and no file that could be replaced."""
    if not path.exists():
        return False
    # What a shell has opened is its own, be it a file.
    opened = str(path) in (*_STDOUT, "/dev/stderr")
    opened = opened or os.path.realpath(path.parent).startswith("/proc/")
    return opened or not (path.is_file() or path.is_dir())


def _write_to(path: Path, content: Path) -> None:
    place = stdout_descriptor if str(path) in _STDOUT else path
    with content.open("rb") as source, open(place, "wb", closefd=place is path) as file:
        shutil.copyfileobj(source, file)


def check_writable(path: Path) -> None:
    """Refuse, before any work, what cannot be written; make the folder where needed.

    Raises:
        InputError: It is a folder, or its folder or itself cannot be written.
    """
    if path.is_dir():
        raise InputError(f"-o {path} is a folder; name a file in it")
    place = Path(os.path.realpath(path))
    try:
        if not is_stream(path):
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place.parent):
                pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"-o {path} cannot be written ({error.strerror or error}); choose another folder"
        ) from error


safe_csv: ContextVar[bool] = ContextVar("safe_csv", default=False)
"""Whether text in CSV files that a spreadsheet would run as a formula is made text for it, too."""

CACHE_FOLDER_VARIABLE = "EDGEGRAPH_CACHE_DIR"


def cache_folder() -> Path:
    """Return the user's cache folder, or what ``EDGEGRAPH_CACHE_DIR`` names; it need not exist."""
    return Path(os.environ.get(CACHE_FOLDER_VARIABLE) or platformdirs.user_cache_dir("edgegraph"))


def keep(path: Path, content: bytes, what: str, *, append: bool = False) -> None:
    """Write a file of the cache; where that cannot be, warn that `what` is not kept, and go on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if append:
            with path.open("ab") as file:
                file.write(content)
            return
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except (OSError, InputError) as error:
        first = error.__cause__ if isinstance(error, InputError) else error
        reason = getattr(first, "strerror", None) or first
        said = (
            f"{what} not kept in {path.parent} ({reason}); set {CACHE_FOLDER_VARIABLE} to a folder"
            " that can be written"
        )
        if said not in _said:
            _said.add(said)
            warnings.warn(said, stacklevel=2)


_said: set[str] = set()
"""What was said already; the filters of `warnings` begin anew whenever somebody changes them."""


def shared_lock(report: Progress) -> AbstractContextManager[None]:
    """Compile alongside others that compile, while nothing is timed."""
    return _held(report, exclusive=False)


def exclusive_lock(report: Progress) -> AbstractContextManager[None]:
    """Time something while nothing else is timed or compiled."""
    return _held(report, exclusive=True)


@contextmanager
def _held(report: Progress, *, exclusive: bool) -> Iterator[None]:
    """Hold the machine; whoever waits for it queues up, so that nobody waits forever."""
    with ExitStack() as leaving:
        machine = leaving.enter_context(_file("machine.lock"))
        with _file("line.lock") as line:
            _lock(line, report, exclusive=True)
            _lock(machine, report, exclusive=exclusive)
        yield


def _lock(file: IO[bytes], report: Progress, *, exclusive: bool) -> None:
    """Lock a file until it is closed."""
    import portalocker  # half of the time that importing EdgeGraph takes
    from portalocker import AlreadyLocked, LockFlags

    how = LockFlags.EXCLUSIVE if exclusive else LockFlags.SHARED
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
    # A user's processes agree on the second place, too.
    other = Path(tempfile.gettempdir()) / f"edgegraph-{getattr(os, 'getuid', str)()}"
    with suppress(OSError):
        return _opened(folder / name)
    try:
        return _opened(other / name)
    except OSError as error:
        raise InputError(
            f"cannot take turns with others on this machine: neither {folder} nor {other} can be"
            f" written ({error.strerror or error}); set XDG_RUNTIME_DIR to a folder that can be"
        ) from error


def _opened(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


_BESIDE = "XLA's report on memory, no program; name the module's own file beside it, or the folder"
_MAGIC = (
    (b"\x89PNG", "a picture"), (b"%PDF", "a PDF"), (b"\x7fELF", "machine code"),
    (b"SQLite format 3", "a run database; name a run in it, such as runs.db#1"),
    (b"\x93NUMPY", "a NumPy array"), (b"\x80\x04\x95", "a pickle, which EdgeGraph never opens"),
    (b"BC\xc0\xde", "LLVM bitcode"), (b"{", "JSON"), (b"<!doctype html", "an HTML page"),
    (b"BufferAssignment:", _BESIDE), (b"Memory Space:", _BESIDE), (b"HloLiveRange", _BESIDE),
    (b"Total bytes used:", _BESIDE), (b"; ModuleID", "LLVM IR"),
    (b"//\n// Generated by LLVM", "PTX"),
)  # fmt: skip


def kind_of(data: bytes) -> str | None:
    """Return what a file is that holds no program, as its first bytes tell; None where they do not.

    Example:
        >>> kind_of(b"%PDF-1.7"), kind_of(b"HloModule m")
        ('a PDF', None)
    """
    head = data[:64].lstrip().lower()
    return next((word for magic, word in _MAGIC if head.startswith(magic.lower())), None)
