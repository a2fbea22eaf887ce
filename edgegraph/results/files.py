"""Saved results: a zip with the result as JSON and, of an analysis, the HLO module it is about.

A saved file is data. Reading it runs nothing; every value is checked against its type, the
module against its digest, and the sizes before anything is unpacked.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import msgspec

from edgegraph.base.files import is_there, replacing
from edgegraph.errors import FormatError, InputError
from edgegraph.results.consistency import contradiction
from edgegraph.results.kinds import KINDS, kind_of, provided, resolve, saved_words

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis

FORMAT_VERSION = 2
"""Version of the saved form; a reader takes no other."""

_RECORDS = "result.json"
_MODULE = "module.hlo.pb"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_BYTES = 1 << 30
"""Of a member unpacked; 500,000 ops take 200 MB."""

_MAX_RATIO = 250
"""Of a member unpacked to packed; that of ops which are all alike is 60."""

_AT_ONCE = 10_000
"""Records that are read together, where there are more."""

_LARGE_BYTES = 4 << 20
"""Of JSON; what is larger is read in parts, in a third of the memory."""

_HEAD_BYTES = 1 << 16
_RESULT_BEGINS = re.compile(rb',\s*"result"\s*:')
"""What stands before it says what the result is, and is looked at before anything is unpacked."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What `zipfile` raises on damaged archives: also on those that seem encrypted or whose names are
no text."""

_ADDRESS = re.compile(r".+#[0-9]+", re.DOTALL)

_Result = TypeVar("_Result")


class _Header(msgspec.Struct):
    """What is read before anything else: is it ours, and do we know what it holds?"""

    format: str
    version: int
    kind: str = ""
    module_sha256: str | None = None


class _Saved(_Header, kw_only=True):
    """The JSON member, as it is written."""

    result: Any


class _Body(msgspec.Struct):
    """The JSON member without the result's type."""

    result: msgspec.Raw


class _Fields(msgspec.Struct):
    """The JSON member, and what its result holds by name."""

    result: dict[str, msgspec.Raw]


@cache
def _whole(kind: Any) -> Any:
    """Return the type of the JSON member, with the result's."""
    return msgspec.defstruct("_Whole", [("result", kind)])


def save(result: Any, path: str | Path) -> Path:
    """Write a result, atomically: a reader sees the old file or the whole new one.

    The same result gives the same bytes. An InputError says that the folder cannot be written, that
    it is nothing that can be saved, or that it holds what cannot be read back: a number that is not
    finite, or a value of another type than declared.
    """
    content = pack(result)
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def pack(result: Any) -> bytes:
    """Return the content of the file that `save` writes."""
    kind = kind_of(result).word
    module: bytes | None = getattr(result, "serialized_module", None)
    saved = _Saved(
        format="edgegraph",
        version=FORMAT_VERSION,
        kind=kind,
        module_sha256=None if module is None else sha256(module).hexdigest(),
        result=result if module is None else replace(result, serialized_module=b""),
    )
    try:
        records = msgspec.json.encode(saved)
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        raise InputError(f"cannot save this {kind}: {error}") from error
    _check_readable(saved.result, kind)
    members = {_RECORDS: records} | ({} if module is None else {_MODULE: module})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=6)
    return buffer.getvalue()


def load(path: str | Path) -> Any:
    """Read a saved result.

    Args:
        path: A file that `save` wrote; or ``runs.db#42``, run 42 of a run database.

    Returns:
        What was saved: an Analysis, a sweep, a study.

    Raises:
        InputError: There is no such file.
        FormatError: It is cut off, damaged, of another version, or no saved result.

    Example:
        >>> load("no/such.edgegraph")
        Traceback (most recent call last):
        edgegraph.errors.InputError: no file at no/such.edgegraph
    """
    path = Path(path)
    if is_address(path):
        return provided("load_address")(str(path))
    if not is_there(path) or path.is_dir():
        raise InputError(f"no file at {path}")
    return unpack(path, path)


def is_address(path: str | Path) -> bool:
    """Return whether a name is no file but a run in a database, such as ``runs.db#42``."""
    return _ADDRESS.fullmatch(str(path)) is not None and not is_there(path)


def unpack(content: bytes | Path, path: str | Path) -> Any:
    """Return the result in a file, or in the content of one; `path` is for messages."""
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        with zipfile.ZipFile(source) as archive:
            header = _header(archive, path)
            records = _unpacked(archive, _RECORDS, path)
            module = None
            if header.module_sha256 is not None:
                module = _unpacked(archive, _MODULE, path)
    except _UNREADABLE as error:
        raise FormatError(
            f"{path} is not a saved result, or it was cut off ({error}); expected a file that"
            " .save() wrote"
        ) from error
    try:
        result = _decode(records, resolve(KINDS[header.kind].home))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise FormatError(
            f"{path} is damaged, or of another version of EdgeGraph: {error}; make it again"
        ) from error
    if module is not None:
        if sha256(module).hexdigest() != header.module_sha256:
            raise FormatError(f"{path} is damaged: its HLO module does not match its digest")
        result = replace(result, serialized_module=module)
    if (said := contradiction(result)) is not None:
        raise FormatError(f"{path} contradicts itself: {said}; make it again")
    return result


def load_analysis(path: str | Path) -> Analysis:
    """Read a saved analysis, and refuse any other kind of result."""
    result = load(path)
    if (kind := kind_of(result).word) != "analysis":
        raise FormatError(f"{path} holds a {kind}; expected a saved analysis")
    analysis: Analysis = result
    return analysis


def _decode(records: bytes, kind: type[_Result]) -> _Result:
    home: Any = kind
    try:
        if len(records) > _LARGE_BYTES:
            large: _Result = _decode_in_parts(records, home)
            return large
        result: _Result = msgspec.json.decode(records, type=_whole(home)).result
        return result
    except msgspec.ValidationError:
        former = dict(getattr(kind, "FORMER_NAMES", ()))
        if not former:
            raise
        body = msgspec.json.decode(records, type=_Body).result
        return msgspec.convert(_renamed(msgspec.json.decode(body), former), kind)


def _decode_in_parts(records: bytes, kind: Any) -> Any:
    """Decode a result with many records, of which texts and numbers that are alike become one."""
    body = msgspec.json.decode(records, type=_Fields).result
    long: dict[str, tuple[Any, ...]] = {}
    for name, raw in body.items():
        text = memoryview(raw)
        if len(text) > _LARGE_BYTES and text[0] == ord("["):
            of = get_type_hints(kind)[name]
            shared: _Shared = {str: {}, int: {}, float: {}}
            parts = _parts(tuple(msgspec.json.decode(raw, type=list[msgspec.Raw])))
            long[name] = tuple(
                _sharing(record, shared)
                for part in parts
                for record in msgspec.json.decode(b"[" + b",".join(part) + b"]", type=of)
            )
    rest = msgspec.json.encode({**body, **dict.fromkeys(long, ())})
    return replace(msgspec.json.decode(rest, type=kind), **long)


_Shared = dict[type, dict[Any, Any]]


def _sharing(record: Any, shared: _Shared) -> Any:
    """Have a record share what is equal to another's; it is new, and nobody else has it."""
    if isinstance(record, msgspec.Struct):
        for name in record.__struct_fields__:
            value = getattr(record, name)
            if value and (known := shared.get(type(value))) is not None:  # 0.0 equals -0.0
                msgspec.structs.force_setattr(record, name, known.setdefault(value, value))
    return record


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return what a file of before holds, by the names of now."""
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    return {names.get(name, name): _renamed(each, names) for name, each in value.items()}


def _check_readable(result: Any, word: str) -> None:
    """Refuse what would come back as something else, or not at all.

    JSON has no number that is not finite: it becomes null, and would be read as unknown. A hundred
    thousand records are read back some at a time, so that they are not in memory twice.
    """
    rest = result
    try:
        for name in [field.name for field in fields(result)]:
            value = getattr(result, name)
            if isinstance(value, tuple) and len(value) > _AT_ONCE:
                kind = get_type_hints(type(result))[name]
                if all(_comes_back(part, kind) for part in _parts(value)):
                    rest = replace(rest, **{name: ()})
        if _comes_back(rest, type(result)):
            return
        found = "it would not read back alike"
    except msgspec.DecodeError as error:
        found = str(error)
    odd = next(_not_finite(msgspec.to_builtins(result), word), None)
    raise InputError(f"cannot save this {word}: {odd or found}")


def _comes_back(value: Any, kind: Any) -> bool:
    written = msgspec.json.encode({"result": value})
    return bool(msgspec.json.decode(written, type=_whole(kind)).result == value)


def _parts(values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    return (values[first : first + _AT_ONCE] for first in range(0, len(values), _AT_ONCE))


def _not_finite(value: object, place: str) -> Iterator[str]:
    """Name the numbers that have no form in the file, by where they stand."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value}, expected a finite number, or None for what is unknown"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _not_finite(each, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _not_finite(each, f"{place}[{number}]")


def _header(archive: zipfile.ZipFile, path: str | Path) -> _Header:
    """Check that this EdgeGraph knows what the file holds, by how it begins."""
    with archive.open(_member(archive, _RECORDS, path)) as member:
        head = member.read(_HEAD_BYTES)
    found = _RESULT_BEGINS.search(head)
    try:
        header = msgspec.json.decode(head[: found.start()] + b"}" if found else head, type=_Header)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is damaged: {error}") from error
    if header.format != "edgegraph":
        raise FormatError(f"{path} is not a saved result: its format is {header.format[:80]!r}")
    if header.version != FORMAT_VERSION:
        todo = "install a newer EdgeGraph" if header.version > FORMAT_VERSION else "make it again"
        raise FormatError(
            f"{path} has format version {header.version}, and this EdgeGraph reads"
            f" {FORMAT_VERSION}; {todo}"
        )
    if header.kind not in saved_words():
        raise FormatError(
            f"{path} is damaged: it claims to hold a {header.kind[:80]!r}; expected one of:"
            f" {', '.join(saved_words())}"
        )
    return header


def _member(archive: zipfile.ZipFile, name: str, path: str | Path) -> zipfile.ZipInfo:
    """Find one member."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        if "analysis.json" in archive.namelist():
            raise FormatError(
                f"{path} has format version 1, and this EdgeGraph reads {FORMAT_VERSION};"
                " make it again"
            ) from None
        raise FormatError(f"{path} is not a saved result: it holds no {name}") from None
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise FormatError(f"{path} is damaged: {name} is not compressed as EdgeGraph does it")
    return info


def _unpacked(archive: zipfile.ZipFile, name: str, path: str | Path) -> bytes:
    """Unpack one member, unless its size is out of all proportion."""
    info = _member(archive, name, path)
    if info.file_size > _MAX_BYTES or info.file_size > _MAX_RATIO * max(1, info.compress_size):
        raise FormatError(f"{path} is damaged: {name} claims to unpack to {info.file_size:,} bytes")
    return archive.read(info)
