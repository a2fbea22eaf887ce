"""Saved results, in files and in the run database."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from edgegraph.doors.registry import Given
from edgegraph.results.files import is_address, load, unpack

SUFFIX = ".edgegraph"


def is_saved(given: Given) -> bool:
    """Return whether it is a saved result, even a damaged one, or a run in a database."""
    if isinstance(given.value, str) and given.path is None and is_address(given.value):
        return True
    if given.path is not None and given.path.suffix == SUFFIX and not given.path.is_dir():
        return True
    if given.raw is None or not given.raw.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(given.raw)) as archive:
            return {"result.json", "analysis.json"} & set(archive.namelist()) != set()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def open_saved(given: Given) -> Any:
    """Load the result.

    Raises:
        FormatError: As `edgegraph.results.files.load`.
    """
    if given.raw is None or given.path is not None:
        return load(given.path or str(given.value))
    return unpack(given.raw, given.name)
