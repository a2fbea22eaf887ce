"""One file for many processes: older versions, other programs, full disks and locks."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.errors import FormatError, InputError
from edgegraph.results.files import pack
from edgegraph.store.database import MIGRATIONS, VERSION
from tests.store.conftest import one
from tests.studies import sweeps

FIRST_VERSION = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, workload TEXT NOT NULL, fingerprint TEXT,
    batch INTEGER, dtype TEXT, target TEXT NOT NULL, options TEXT NOT NULL, machine TEXT NOT NULL,
    edgegraph TEXT NOT NULL, jax TEXT NOT NULL, created_at TEXT NOT NULL, content BLOB NOT NULL
);
CREATE INDEX runs_by_workload ON runs (workload, created_at);
CREATE TABLE metrics (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, name TEXT NOT NULL,
    value REAL NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
PRAGMA application_id = 1164199794;
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    content = pack(one())
    with sqlite3.connect(path) as old:
        old.executescript(FIRST_VERSION)
        old.execute(
            "INSERT INTO runs VALUES (7, 'sweep', 'small_cnn', NULL, 1, NULL, 'cpu', '{}',"
            " 'a machine', '0.1.0', '0.10.2', '2025-01-01T00:00:00+00:00', ?)",
            (content,),
        )
        old.execute("INSERT INTO metrics VALUES (7, 'latency_s', 0.001)")
    old.close()
    assert VERSION > 1
    with eg.open_store(path) as store:
        (run,) = store.find()
        assert (run.id, run.metrics) == (7, {"latency_s": 0.001})
        assert store.load(7) == one()
        assert store.put_point(store.start_sweep("mine"), "1", one())
    with sqlite3.connect(path) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    new.close()


def test_what_is_no_run_database_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="no run database at"):
        eg.load(f"{path}#1")
    path.write_bytes(b"something else" * 100)
    with pytest.raises(FormatError, match="is not a run database, or it is damaged"):
        eg.open_store(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (id)")
    other.close()
    with pytest.raises(FormatError, match="is a database of another program"):
        eg.open_store(path)
    path.unlink()
    eg.open_store(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    with pytest.raises(FormatError, match="install a newer EdgeGraph"):
        eg.open_store(path)
    with pytest.raises(InputError, match="cannot be opened"):
        eg.open_store(path.parent / "no" / "runs.db")


def test_a_full_disk_is_told_and_what_was_there_stays(path: Path) -> None:
    with eg.open_store(path) as store:
        store.put(one())
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = replace(one(), points=tuple(sweeps.point(batch, 1.0) for batch in range(1, 200)))
        with pytest.raises(InputError, match="the disk is full") as told:
            store.put(many)
        assert "\n" not in str(told.value)
        assert len(store.find()) == 1
    with eg.open_store(path) as store:
        assert store.load(1) == one()
        assert len(store.put(many)) == 199  # and with room, it goes on


def test_no_file_may_grow_further(path: Path) -> None:
    """As a full disk, seen from the system: the write itself fails."""
    with eg.open_store(path) as store:
        store.put(one())
    (content := path.parent / "one.edgegraph").write_bytes(pack(one(2)))
    code = (
        "import resource, signal, sys, edgegraph as eg\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "result = eg.load(sys.argv[2])\n"
        "store = eg.open_store(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    store.put(result)\n"
        "except eg.EdgeGraphError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(path), str(content)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "the disk is full" in said
    assert said.count("\n") == 1
    with eg.open_store(path) as store:
        assert [run.batch for run in store.find()] == [1]


def test_a_locked_database_is_told(path: Path) -> None:
    with eg.open_store(path) as store:
        store.put(one())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with eg.open_store(path, timeout_s=0.0) as store:
        assert len(store.find()) == 1  # who only reads, goes on
        with pytest.raises(InputError, match="another process keeps it locked"):
            store.put(one())
    holder.execute("ROLLBACK")
    holder.close()
    with eg.open_store(path) as store:
        assert len(store.put(one())) == 1


def test_a_file_that_is_made_while_it_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes the tables between two questions about what the file is."""
    connect = sqlite3.connect
    moments: list[str] = []

    def other_process(statement: str) -> None:
        if not moments and statement == "SELECT count(*) FROM sqlite_master":
            moments.append(statement)
            # Locked out is as good as done.
            with closing(connect(path, timeout=0)) as other, suppress(sqlite3.OperationalError):
                other.executescript(f"BEGIN; {FIRST_VERSION} COMMIT;")

    def overheard(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(other_process)
        return connection

    monkeypatch.setattr(sqlite3, "connect", overheard)
    with eg.open_store(path) as store:
        assert not store.find()
    assert moments


def test_eight_writers_lose_no_row(path: Path) -> None:
    """They all make the file, too."""
    (content := path.parent / "one.edgegraph").write_bytes(pack(one()))
    code = (
        "import sys, dataclasses, edgegraph as eg\n"
        "made = eg.load(sys.argv[2])\n"
        "for number in range(20):\n"
        "    with eg.open_store(sys.argv[1]) as store:\n"
        "        store.put(dataclasses.replace(made, workload=f'{sys.argv[3]}-{number}'))\n"
        "assert 'jax' not in sys.modules\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(content), str(writer)])
        for writer in range(8)
    ]
    assert [writer.wait() for writer in writers] == [0] * 8
    with eg.open_store(path) as store:
        names = [run.workload for run in store.find()]
    assert sorted(names) == sorted(f"{w}-{n}" for w in range(8) for n in range(20))
