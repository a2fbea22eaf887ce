"""One SQLite file: its tables, its versions, and what may go wrong with it in plain words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from edgegraph.errors import FormatError, InputError, first_line

MIGRATIONS = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        workload TEXT NOT NULL,
        fingerprint TEXT,
        batch INTEGER,
        dtype TEXT,
        target TEXT NOT NULL,
        options TEXT NOT NULL,
        machine TEXT NOT NULL,
        edgegraph TEXT NOT NULL,
        jax TEXT NOT NULL,
        created_at TEXT NOT NULL,
        content BLOB NOT NULL
    );
    CREATE INDEX runs_by_workload ON runs (workload, created_at);
    CREATE TABLE metrics (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE sweeps (
        id INTEGER PRIMARY KEY,
        identity TEXT NOT NULL,
        finished INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX sweeps_going_on ON sweeps (identity) WHERE NOT finished;
    ALTER TABLE runs ADD COLUMN sweep INTEGER REFERENCES sweeps (id);
    ALTER TABLE runs ADD COLUMN cell TEXT;
    ALTER TABLE runs ADD COLUMN error TEXT;
    CREATE UNIQUE INDEX runs_by_cell ON runs (sweep, cell) WHERE sweep IS NOT NULL;
    """,
    """
    ALTER TABLE runs ADD COLUMN verdict TEXT;
    """,
)
"""From an empty file to the newest version, step by step; a step that was published never changes.

The second keeps sweeps: which is going on, and that none of its points is there twice. The third
notes how sound a run's measurement is.
"""

VERSION = len(MIGRATIONS)

_APPLICATION = 0x45644772
"""SQLite's ``application_id`` of our files: ``EdGr``."""

_WAIT_S = 0.05

_Given = TypeVar("_Given")


def connect(path: Path, *, timeout_s: float) -> sqlite3.Connection:
    """Open a database, and bring an older one or an empty file to this version."""
    with explained(path):
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        try:
            repeated(lambda: _prepare(connection, path), timeout_s)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    with _together(connection, "DEFERRED"):
        version = _check(connection, path)
    # With the journal beside the file, readers go on while one process writes. Set again only where
    # it is not: that takes the whole file for a moment.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    if version < VERSION:
        with writing(connection):
            for number in range(_check(connection, path), VERSION):
                for statement in MIGRATIONS[number].split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of what is in the file, 0 for nothing.

    Within one transaction: between its questions another process may make the tables.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (tables or version):
        raise FormatError(
            f"{path} is a database of another program; name a file of EdgeGraph's, or a new one"
        )
    if version > VERSION:
        raise FormatError(
            f"{path} has version {version}, and this EdgeGraph reads up to {VERSION}; install a"
            " newer EdgeGraph"
        )
    return int(version)


def writing(connection: sqlite3.Connection) -> AbstractContextManager[None]:
    """Hold all that is written in the block together: all of it is kept, or nothing."""
    return _together(connection, "IMMEDIATE")


@contextmanager
def _together(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Where the disk is full, SQLite has taken it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def repeated(action: Callable[[], _Given], timeout_s: float) -> _Given:
    """Try again while the database is locked: SQLite itself does not wait in every case."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if _code(error) not in _LOCKED or time.monotonic() >= end:
                raise
        time.sleep(_WAIT_S)


_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full, or may not be used further; make room",
    sqlite3.SQLITE_IOERR: "the disk is full or does not answer; make room or look after it",
    sqlite3.SQLITE_READONLY: "it may not be written; make it and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; name a file in a folder that exists and can be"
    " written",
    sqlite3.SQLITE_BUSY: "another process keeps it locked; end that one, or name another file",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked; end that one, or name another file",
}


def _code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary code; the extended ones stand in the upper bits."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Describe in one line what SQLite could not do."""
    try:
        yield
    except OverflowError as error:
        raise InputError(f"{path} holds numbers below 2^63, and was asked for more") from error
    except UnicodeDecodeError as error:  # in what SQLite says is wrong
        raise _damaged(path, error) from error
    except sqlite3.Error as error:
        code = _code(error)
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise _damaged(path, error) from error
        reason = _REASONS.get(code or 0)
        if reason is None:
            raise InputError(
                f"the run database {path} cannot be used: {first_line(error)}"
            ) from error
        raise InputError(
            f"the run database {path} cannot be used: {reason}; what it holds is kept"
        ) from error


def _damaged(path: Path, error: Exception) -> FormatError:
    return FormatError(
        f"{path} is not a run database, or it is damaged ({first_line(error)}); name another file"
    )
