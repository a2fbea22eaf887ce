"""Reading HLO that came from somewhere else: an XLA dump, text or protobuf."""

from __future__ import annotations

import re
from pathlib import Path

from google.protobuf.message import DecodeError

from edgegraph.base.archives import unpacked
from edgegraph.errors import FormatError, InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.schema import HloModuleProto, HloProto, Proto

EXPECTED = "expected HLO text or a serialized HloModuleProto, as XLA's --xla_dump_to writes them"

_MAX_WRAPPERS = 2
"""A HloSnapshot holds a HloProto, which holds the module."""


def read_module(path: str | Path) -> bytes:
    """Return the HloModuleProto in an HLO file, which EdgeGraph's decoder and XLA have accepted.

    Its content tells what it is: HLO text (``*.txt``), a HloModuleProto (``*.pb``), or a HloProto
    around one (``*.hlo.pb``); compressed with gzip or not.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"cannot read {path}: {reason}; {EXPECTED}") from error
    try:
        return parse_module(data)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def parse_module(data: bytes) -> bytes:
    """Return the serialized HloModuleProto in the content of an HLO file.

    Raises:
        FormatError: As `read_module`.
    """
    # XLA is asked last: what it cannot read may end the process that it runs in.
    from edgegraph import xla

    data = unpacked(data)
    if not data.strip():
        raise FormatError(f"the file is empty; {EXPECTED}")
    text = _as_text(data)
    if text is None:
        module = _unwrapped(data)
        decode(module)
        return xla.validate_in_subprocess(module)
    module = xla.validate_in_subprocess(text)
    decode(module)
    return module


_START = re.compile(r"^HloModule\s", re.MULTILINE)


def is_hlo_text(text: str) -> bool:
    """Return whether a line of the text begins a module."""
    return _START.search(text) is not None


def has_module(data: bytes) -> bool:
    """Return whether binary data hold a HloModuleProto, alone or wrapped."""
    try:
        _unwrapped(data)
    except FormatError:
        return False
    return True


def _as_text(data: bytes) -> str | None:
    """Return the text if it is HLO text, None if the data are binary."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if any(character < " " and character not in "\t\n\r\f" for character in text[:4096]):
        return None
    if is_hlo_text(text):
        return text
    if re.search(r"^(?:module\b|#loc)", text, re.MULTILINE):
        raise FormatError(
            "this is MLIR (StableHLO), not HLO; write compiled.as_text() or"
            " lowered.as_text('hlo') instead"
        )
    raise FormatError(f"this is text, but no line starts with 'HloModule'; {EXPECTED}")


def _unwrapped(data: bytes) -> bytes:
    """Return the HloModuleProto inside of `data`, which may be one itself."""
    for _ in range(_MAX_WRAPPERS + 1):
        module = _parsed(HloModuleProto, data)
        if module is not None and module.computations:
            return data
        wrapper = _parsed(HloProto, data)
        if wrapper is None:
            break
        data = wrapper.hlo_module
    raise FormatError(f"it is cut off, damaged or not HLO; {EXPECTED}")


def _parsed(message: type[Proto], data: bytes) -> Proto | None:
    try:
        return message.FromString(data)
    except DecodeError:
        return None
