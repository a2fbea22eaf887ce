"""StableHLO, and functions that `jax.export` wrote."""

from __future__ import annotations

import re
from typing import Any

from edgegraph.doors.registry import Given
from edgegraph.errors import FormatError, InputError

_MODULE = re.compile(r"^\s*module\b", re.MULTILINE)
_BYTECODE = b"ML\xefR"
_DIALECT = re.compile(r"\b(?:stablehlo|vhlo|mhlo|func)\.")


def is_stablehlo(given: Given) -> bool:
    """Return whether it is MLIR, as text of one of XLA's dialects or as bytecode."""
    if given.text is not None:
        return bool(_MODULE.search(given.text) and _DIALECT.search(given.text))
    return given.data is not None and given.data.startswith(_BYTECODE)


def open_stablehlo(given: Given) -> Any:
    """Return its Workload, with the shapes that it states."""
    from edgegraph.compiler.exported import stablehlo_workload

    data = given.data if given.text is None else given.text.encode()
    return _named(given, stablehlo_workload, data)


def is_exported(given: Given) -> bool:
    """Return whether it is a file of `jax.export`: flatbuffers around MLIR's bytecode."""
    data = given.data
    if data is None or given.text is not None or data.startswith(_BYTECODE):
        return False
    return _BYTECODE in data and int.from_bytes(data[:4], "little") < len(data)


def open_exported(given: Given) -> Any:
    """Return its Workload; a symbolic dimension is the batch."""
    from edgegraph.compiler.exported import read_exported

    return _named(given, read_exported, given.data)


def _named(given: Given, opens: Any, data: bytes | None) -> Any:
    try:
        return opens(data)
    except InputError as error:
        raise FormatError(f"{given.name}: {error}") from error
