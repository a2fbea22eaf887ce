from __future__ import annotations

import gzip
import io
import lzma
import zipfile
from collections.abc import Callable

import pytest
import zstandard

from edgegraph.base import archives
from edgegraph.base.archives import unpacked
from edgegraph.errors import FormatError

CONTENT = b"HloModule m\n" * 100


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, CONTENT)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "packed",
    [CONTENT, gzip.compress(CONTENT), lzma.compress(CONTENT), zipped("a"), zipped("folder/", "a"),
     gzip.compress(zipped("a"))],
    ids=["plain", "gzip", "xz", "zip", "zip with a folder", "zip in gzip"],
)  # fmt: skip
def test_what_is_packed_comes_out(packed: bytes) -> None:
    assert unpacked(packed) == CONTENT


def test_zstd_where_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zstandard.ZstdCompressor().compress(CONTENT)
    assert unpacked(packed) == CONTENT
    assert unpacked(packed + packed) == CONTENT + CONTENT
    for damaged in (packed[:-4], packed + b"more"):
        with pytest.raises(FormatError, match="the zstd stream is cut off or damaged"):
            unpacked(damaged)
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    with pytest.raises(FormatError, match="expands to more than 100 bytes"):
        unpacked(packed)


def test_zstd_where_python_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(FormatError, match="run `zstd -d` on it, or `pip install zstandard`"):
        unpacked(b"\x28\xb5\x2f\xfd rest")


@pytest.mark.parametrize(
    ("pack", "kind"), [(gzip.compress, "gzip"), (lzma.compress, "xz")], ids=["gzip", "xz"]
)
def test_what_is_cut_off_says_so(pack: Callable[[bytes], bytes], kind: str) -> None:
    with pytest.raises(FormatError, match=f"the {kind} stream is cut off or damaged"):
        unpacked(pack(CONTENT)[:-9])
    with pytest.raises(FormatError, match="the zip is cut off or damaged"):
        unpacked(zipped("a")[:-9])


def test_a_zip_of_several_names_them() -> None:
    with pytest.raises(FormatError, match=r"zip of 4 files \(a, b, c, \.\.\.\); unpack it"):
        unpacked(zipped("a", "b", "c", "d"))
    with pytest.raises(FormatError, match="zip of 0 files"):
        unpacked(zipped("folder/"))


def test_what_expands_too_far_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    with pytest.raises(FormatError, match="expands to more than 100 bytes"):
        unpacked(gzip.compress(CONTENT))


def test_what_is_packed_again_and_again_is_refused() -> None:
    data = CONTENT
    for _ in range(4):
        data = gzip.compress(data)
    with pytest.raises(FormatError, match="more than 4 times"):
        unpacked(data)
