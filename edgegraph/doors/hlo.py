"""HLO, as text or as a protobuf: from XLA's dumps, ``as_text()``, or other tools."""

from __future__ import annotations

from typing import Any

from edgegraph.doors.registry import Given
from edgegraph.errors import FormatError
from edgegraph.hlo.dump_text import is_hlo_text
from edgegraph.hlo.read import has_module


def is_hlo(given: Given) -> bool:
    """Return whether it is HLO text, or a HloModuleProto, alone or in one of XLA's wrappers."""
    if given.data is None:
        return False
    return is_hlo_text(given.text) if given.text is not None else has_module(given.data)


def is_dump(given: Given) -> bool:
    """Return whether it is a folder that XLA dumped to."""
    if given.path is None or not given.path.is_dir():
        return False
    from edgegraph.hlo.dump_folder import dumped_modules

    return bool(dumped_modules(given.path))


def open_dump(given: Given, **choices: Any) -> Any:
    """Return the Program of one module in the folder: the largest, unless one is named."""
    from edgegraph.compiler.read import read_hlo

    return read_hlo(str(given.path), **choices)


def open_hlo(given: Given, **choices: Any) -> Any:
    """Return its Program.

    Raises:
        FormatError: It is cut off, or XLA refuses it.
    """
    from edgegraph.compiler.read import program_of

    try:
        return program_of(given.data or b"", **choices)
    except FormatError as error:
        raise FormatError(f"{given.name}: {error}") from error
