"""Taking files out of what they were compressed with: gzip, zstd, xz, a zip of one member."""

from __future__ import annotations

import importlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from gzip import GzipFile
from typing import IO, Any

from edgegraph.errors import FormatError

MAX_BYTES = 1 << 31
"""Protobuf's own limit; a compressed file that expands beyond it is refused."""

_MOST_LAYERS = 4

_PIECE_BYTES = 1 << 12
"""Read at once; a piece expands 30,000 times at most."""


def _zip_member(file: IO[bytes]) -> Any:
    archive = zipfile.ZipFile(file)
    names = [each.filename for each in archive.infolist() if not each.is_dir()]
    if len(names) != 1:
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise FormatError(f"it is a zip of {len(names)} files ({some}); unpack it and name one")
    return archive.open(names[0])


def _zstd(file: IO[bytes]) -> Any:
    with suppress(ModuleNotFoundError):
        return importlib.import_module("compression.zstd").ZstdFile(file)
    try:
        zstandard = importlib.import_module("zstandard")
    except ModuleNotFoundError:
        raise FormatError(
            "it is compressed with zstd, which this Python cannot read; run `zstd -d` on it, or"
            " `pip install zstandard`"
        ) from None
    # Its own reader takes the first of several frames, or one cut off, for all there is.
    content, frame = bytearray(), zstandard.ZstdDecompressor().decompressobj()
    while len(content) <= MAX_BYTES and (piece := file.read(_PIECE_BYTES)):
        while piece:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            content += frame.decompress(piece)
            piece = frame.unused_data
    if len(content) <= MAX_BYTES and not frame.eof:
        raise EOFError
    return io.BytesIO(content)


_ARCHIVES: tuple[tuple[bytes, str, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", "gzip stream", lambda file: GzipFile(fileobj=file)),
    (b"\xfd7zXZ\x00", "xz stream", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", "zstd stream", _zstd),
    (b"PK\x03\x04", "zip", _zip_member),
)


def unpacked(data: bytes) -> bytes:
    """Return the content of compressed data, and other data as they are.

    Args:
        data: A gzip, zstd or xz stream, or a zip of one file, also one inside another.

    Raises:
        FormatError: It is cut off or damaged, is a zip of several files, expands beyond
            protobuf's own limit, or is of zstd and no module reads that.

    Example:
        >>> import gzip
        >>> unpacked(gzip.compress(b"HloModule m")), unpacked(b"HloModule m")
        (b'HloModule m', b'HloModule m')
    """
    for _ in range(_MOST_LAYERS):
        kind = next((each for each in _ARCHIVES if data.startswith(each[0])), None)
        if kind is None:
            return data
        data = _read(data, kind[1], kind[2])
    raise FormatError(f"it is compressed more than {_MOST_LAYERS} times; unpack it first")


def _read(data: bytes, kind: str, opener: Callable[[IO[bytes]], Any]) -> bytes:
    try:
        with opener(io.BytesIO(data)) as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except FormatError:
        raise
    except (EOFError, OSError, RuntimeError, ValueError, zlib.error, lzma.LZMAError,
            zipfile.BadZipFile, NotImplementedError) as error:  # fmt: skip
        raise FormatError(f"the {kind} is cut off or damaged; copy the file again") from error
    except Exception as error:  # zstandard's own error is no child of the above
        if type(error).__name__ != "ZstdError":
            raise
        raise FormatError(f"the {kind} is cut off or damaged; copy the file again") from error
    if len(content) > MAX_BYTES:
        raise FormatError(f"it expands to more than {MAX_BYTES:,} bytes; unpack and shorten it")
    return content
