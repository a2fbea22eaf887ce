"""Damages what is no HLO: text by words, JSON by values, archives, databases by their cells.

As in `tests.fuzz.mutate`, everything follows from the generator that is handed in.
"""

from __future__ import annotations

import io
import json
import random
import re
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from typing import Any

from google.protobuf.message import DecodeError, EncodeError

from edgegraph.hlo.schema import Proto
from tests.fuzz.mutate import NAMES, NUMBERS, change_field, damage_bytes

Damage = Callable[[random.Random, Sequence[bytes]], bytes]
"""From a generator and undamaged inputs to a damaged one."""

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 63, 1 << 70, 10**400, 1.5, 1e308, "", "x", "\ud800", [], {}, [[]],
    {"a": 1},
)  # fmt: skip
"""Of JSON, where others are expected."""

_WORDS = re.compile(rb"[A-Za-z_.]+|\d+|\s+|.", re.DOTALL)
_ODD = (
    b"", b"0", b"-1", b"9" * 25, b"1e999", b"nan", b"-inf", b"true", b"'", b'"', b"\\", b"#",
    b"\xff", b"\x00", b"\n", b"{", b"}", b"[" * 3000, b"(" * 300, b"a.b.c = 1", b"x" * 3000,
    "\u202e\u00b5".encode(), b"1979-05-27T07:32:00Z", *(str(each).encode() for each in NUMBERS),
)  # fmt: skip


def some_bytes(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change bytes of whatever it is."""
    return damage_bytes(rng, rng.choice(seeds), seeds)


def text(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change words and lines of a text, for others of it, of another one, or odd ones."""
    seed = rng.choice(seeds)
    if rng.random() < 0.2:
        return damage_bytes(rng, seed, seeds)
    by_line = rng.random() < 0.3
    pieces = seed.splitlines(keepends=True) if by_line else _WORDS.findall(seed)
    other = rng.choice(seeds)
    others = other.splitlines(keepends=True) if by_line else _WORDS.findall(other)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not pieces:
            break
        at = rng.randrange(len(pieces))
        kind = rng.randrange(4)
        if kind == 0:
            del pieces[at]
        elif kind == 1:
            pieces.insert(at, rng.choice(others) if others else b"")
        else:
            pieces[at] = rng.choice(_ODD) if kind == 2 or not others else rng.choice(others)
    return b"".join(pieces)


def value(rng: random.Random, given: Any) -> Any:
    """Change something somewhere in a JSON value."""
    if isinstance(given, dict) and given and rng.random() < 0.9:
        key = rng.choice([*given])
        rest = dict(given)
        if rng.random() < 0.1:
            del rest[key]
        else:
            rest[key] = value(rng, given[key])
        return rest
    if isinstance(given, list) and given and rng.random() < 0.9:
        at = rng.randrange(len(given))
        return [*given[:at], value(rng, given[at]), *given[at + 1 :]]
    return rng.choice(VALUES)


def document(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change values of a JSON document; one in four times its text."""
    if rng.random() < 0.25:
        return text(rng, seeds)
    found = json.loads(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 5))):
        found = value(rng, found)
    return json.dumps(found).encode()


def saved(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change bytes of a saved result, or what its archive holds; the digest is made to fit."""
    seed = rng.choice(seeds)
    if rng.random() < 0.25:
        return damage_bytes(rng, seed, seeds)
    with zipfile.ZipFile(io.BytesIO(seed)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    if rng.random() < 0.8 or len(held) == 1:
        held["result.json"] = document(rng, [held["result.json"]])
    else:
        module = held["module.hlo.pb"]
        held["module.hlo.pb"] = damage_bytes(rng, module, [module])
        old, new = (sha256(each).hexdigest() for each in (module, held["module.hlo.pb"]))
        held["result.json"] = held["result.json"].replace(old.encode(), new.encode())
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return made.getvalue()


def message(kind: type[Proto]) -> Damage:
    """Return what changes fields of such a message, or its bytes."""

    def damage(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        seed = rng.choice(seeds)
        if rng.random() < 0.35:
            return damage_bytes(rng, seed, seeds)
        try:
            found = kind.FromString(seed)
            for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
                change_field(rng, found, seeds)
            return bytes(found.SerializeToString())
        except (DecodeError, EncodeError):
            return seed

    return damage


def database(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change cells of a database, its statements, or bytes of its file."""
    seed = rng.choice(seeds)
    if rng.random() < 0.4:
        return damage_bytes(rng, seed, seeds)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(seed)
        for _ in range(rng.choice((1, 1, 2, 4))):
            with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                _change_cell(rng, connection)
        return connection.serialize()


def _change_cell(rng: random.Random, connection: sqlite3.Connection) -> None:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master "
              "WHERE type = 'table'")]  # fmt: skip
    if not tables:
        return
    table = rng.choice(tables)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    column = rng.choice(columns)
    odd = rng.choice((None, -1, 0, 1 << 62, 1.5, 1e308, float("inf"), b"", b"\xff", "x", "[" * 3000,
                      *NAMES))  # fmt: skip
    kind = rng.randrange(8)
    if kind == 0:
        connection.execute(f"DROP TABLE {table}")
    elif kind == 1:
        connection.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
    elif kind == 2:
        number = rng.choice((0, -1, 2, 3, 4, 1 << 30))
        connection.execute(f"PRAGMA {rng.choice(('user_version', 'application_id'))} = {number}")
    elif kind == 3:
        connection.execute(f"DELETE FROM {table}")
    else:
        connection.execute(f"UPDATE {table} SET {column} = ?", (odd,))
