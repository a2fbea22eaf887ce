"""Saved analyses: a zip with the records as JSON and the HLO module they were made from.

A saved file is data. Reading it runs nothing; every value is checked against its type, the
module against its digest, and the sizes before anything is unpacked.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import msgspec

from edgegraph.atomic import replacing
from edgegraph.errors import FormatError, InputError
from edgegraph.results.analysis import FORMAT_VERSION, Analysis

_RECORDS = "analysis.json"
_MODULE = "module.hlo.pb"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_BYTES = 4 << 30
_MAX_RATIO = 1200
"""Deflate cannot pack tighter than 1032 to 1; a header that claims more is lying."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What `zipfile` raises on damaged archives: also on those that seem encrypted or whose names are
no text."""


class _Header(msgspec.Struct):
    """What is read before anything else: is it ours, and do we know this version?"""

    format: str
    version: int


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON member."""

    format: str = "edgegraph"
    version: int = FORMAT_VERSION
    module_sha256: str
    analysis: Analysis


def save(analysis: Analysis, path: str | Path) -> Path:
    """Write an analysis, atomically: a reader sees the old file or the whole new one.

    The same analysis gives the same bytes.

    Args:
        analysis: What to save.
        path: The file, by convention ``*.edgegraph``.

    Returns:
        The path written.

    Raises:
        InputError: The folder does not exist or cannot be written.
    """
    path = Path(path)
    module = analysis.serialized_module
    saved = _Saved(
        module_sha256=sha256(module).hexdigest(), analysis=replace(analysis, serialized_module=b"")
    )
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in ((_RECORDS, msgspec.json.encode(saved)), (_MODULE, module)):
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=6)
    return path


def load(path: str | Path) -> Analysis:
    """Read a saved analysis.

    Args:
        path: A file that `save` wrote.

    Raises:
        InputError: There is no such file.
        FormatError: It is cut off, damaged, of a newer version, or no saved analysis.

    Example:
        >>> load("no/such.edgegraph")
        Traceback (most recent call last):
        edgegraph.errors.InputError: no file at no/such.edgegraph
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file at {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            records, module = (_member(archive, name, path) for name in (_RECORDS, _MODULE))
    except _UNREADABLE as error:
        raise FormatError(
            f"{path} is no saved analysis, or it was cut off ({error}); expected a file written by"
            " Analysis.save"
        ) from error
    try:
        header = msgspec.json.decode(records, type=_Header)
        if header.format != "edgegraph":
            raise FormatError(f"{path} is no saved analysis: its format is {header.format!r}")
        if header.version > FORMAT_VERSION:
            raise FormatError(
                f"{path} has format version {header.version}, and this EdgeGraph reads up to"
                f" {FORMAT_VERSION}; install a newer EdgeGraph"
            )
        saved = msgspec.json.decode(records, type=_Saved)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is damaged: {error}") from error
    if sha256(module).hexdigest() != saved.module_sha256:
        raise FormatError(f"{path} is damaged: its HLO module does not match its digest")
    return replace(saved.analysis, serialized_module=module)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """Unpack one member, unless its size is out of all proportion."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise FormatError(f"{path} is no saved analysis: it holds no {name}") from None
    if info.file_size > _MAX_BYTES or info.file_size > _MAX_RATIO * max(1, info.compress_size):
        raise FormatError(f"{path} is damaged: {name} claims to unpack to {info.file_size:,} bytes")
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise FormatError(f"{path} is damaged: {name} is not compressed as EdgeGraph does it")
    return archive.read(info)
