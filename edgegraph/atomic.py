"""Files that are either the old one or the whole new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgegraph.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary path beside `path`, which takes its place when all went well.

    Whatever ends the block early, Ctrl-C too, leaves the old file as it was.

    Args:
        path: The file to write; its folder exists.

    Raises:
        InputError: The folder does not exist or cannot be written.
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
