"""HLO, as text or as a protobuf: XLA's dumps, ``as_text()``, what others print."""

from __future__ import annotations

from typing import Any

from edgegraph.doors.registry import Given
from edgegraph.errors import FormatError
from edgegraph.hlo.read import has_module, is_hlo_text


def is_hlo(given: Given) -> bool:
    """Return whether it is HLO text, or a HloModuleProto, alone or within what XLA wraps it in."""
    if given.data is None:
        return False
    return is_hlo_text(given.text) if given.text is not None else has_module(given.data)


def open_hlo(given: Given, **choices: Any) -> Any:
    """Return its Program.

    Raises:
        FormatError: It is cut off, or XLA refuses it.
    """
    from edgegraph.compiler.compile import program_of

    try:
        return program_of(given.data or b"", **choices)
    except FormatError as error:
        raise FormatError(f"{given.name}: {error}") from error
