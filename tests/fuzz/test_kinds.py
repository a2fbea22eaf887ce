"""Every kind of input is read, or refused when it is damaged; and what fuzzing has found."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from edgegraph.doors.registry import DOORS
from edgegraph.errors import EdgeGraphError, FormatError
from edgegraph.hlo.read import tried
from tests.fuzz.follow import survives, without_xla
from tests.fuzz.kinds import KINDS, in_this_process
from tests.fuzz.seeds import SEEDS

OTHERS = [kind for kind in KINDS if kind != "HLO"]
"""That one has tests of its own."""

QUIET = [kind for kind in OTHERS if not KINDS[kind].foreign]
"""What no library reads that might end this process."""


@cache
def seeds(kind: str) -> tuple[bytes, ...]:
    return tuple(SEEDS[kind]())


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    with without_xla(), in_this_process():
        yield


def test_every_door_to_a_file_is_tried() -> None:
    code = {"Python code", "a Python object", "an XLA dump folder"}
    assert {door.word for door in DOORS} - {kind.door for kind in KINDS.values()} == code


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_damaged_is_accepted(kind: str) -> None:
    for data in seeds(kind):
        assert survives(data, KINDS[kind].read)


@pytest.mark.parametrize("kind", QUIET)
def test_damaged_inputs_are_read_or_refused(kind: str) -> None:
    rng = random.Random(2024)
    for _ in range(100):
        survives(KINDS[kind].damage(rng, seeds(kind)), KINDS[kind].read)


def no_text(kind: str, text: bytes) -> bytes:
    """Return a seed of a kind with bytes that are no text within a string."""
    return seeds(kind)[0].replace(text, text[:-1] + b"\xff")


def schema(old: str, new: str) -> bytes:
    """Return a run database whose table of runs was made by another statement."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(seeds("database")[0])
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'runs'", (old, new)
        )
        return bytes(connection.serialize())


FOUND: dict[str, tuple[str, Callable[[], bytes]]] = {
    "decisions that are no text": ("rewrites", lambda: no_text("rewrites", b"sin")),
    "a calibration that is no text": ("calibration", lambda: no_text("calibration", b"made")),
    "timed forms that are no text": ("timed forms", lambda: no_text("timed forms", b"gelu")),
    "statements over lines": ("database", lambda: schema("TEXT", "TEXT `")),
    "statements that are no text": (
        "database", lambda: schema("TEXT", "TEXT ` q").replace(b"` q", b"` \xdf"),
    ),
    "a tool that is no table": ("limits", lambda: b"tool = 1"),
    "settings that are no table": ("limits", lambda: b"[tool]\nedgegraph = 3"),
    "a catalogue that nests deep": ("catalogue", lambda: b"sources = " + b"[" * 3000),
    "a zip of another version": (
        "saved result",
        lambda: seeds("saved result")[0].replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\x94"),
    ),
    "a symbol that is no text": (
        "StableHLO", lambda: b'module {\n "func.func"() {sym_name = 1} : () -> ()\n}',
    ),
    "a main that is no function": (
        "StableHLO", lambda: b'module {\n module @main {\n func.func private @f()\n }\n}',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "data"), FOUND.values(), ids=FOUND)
def test_what_was_found_is_refused(kind: str, data: Callable[[], bytes]) -> None:
    assert data() not in seeds(kind)
    assert not survives(data(), KINDS[kind].read)


@pytest.mark.parametrize("kind", ["bytecode", "export"])
def test_bytecode_that_ends_its_reader_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some that is damaged does, in jaxlib 0.10.2; here another process stands for that."""

    def ended(work: str, payload: bytes, **_: object) -> bytes:
        assert payload == seeds(kind)[0]
        raise EdgeGraphError("the subprocess in which XLA's reader ran was killed by SIGABRT")

    monkeypatch.setattr("edgegraph.hlo.read.run_child", ended)
    monkeypatch.setattr("edgegraph.compiler.exported.tried", tried)
    with pytest.raises(FormatError, match=r"XLA cannot read it: .* killed by SIGABRT"):
        KINDS[kind].read(seeds(kind)[0])
