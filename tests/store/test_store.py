"""The run database: what is put comes back, from many processes, older files and full disks."""

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
from edgegraph.results.analysis import Analysis
from edgegraph.results.files import pack
from edgegraph.store.database import MIGRATIONS, VERSION
from edgegraph.studies.sweep.result import Sweep
from tests import analyses
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


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyses.measured(analyses.small_cnn(2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def one(batch: int = 1, created_at: str = "2025-01-01T00:00:00+00:00") -> Sweep:
    made = sweeps.sweep(sweeps.point(batch, 1000.0 * batch))
    return replace(made, environment=replace(made.environment, created_at=created_at))


def test_an_analysis_comes_back_as_it_was(path: Path, analysis: Analysis) -> None:
    with eg.open_store(path) as store:
        (number,) = store.put(analysis, fingerprint="abc")
        (run,) = store.find(workload="small_cnn", batch=2, kind="analysis", fingerprint="abc")
        assert store.load(number) == analysis
    assert (run.id, run.target, run.jax) == (number, "cpu", analysis.environment.jax)
    assert run.metrics["flops"] == analysis.totals.flops
    assert analysis.latency is not None
    assert run.metrics["latency_s"] == analysis.latency.median_s
    assert "throughput_per_s" not in run.metrics  # it was not measured
    assert eg.load(f"{path}#{number}") == analysis


def test_a_sweep_is_kept_point_by_point(path: Path) -> None:
    whole = sweeps.saturating()
    with eg.open_store(path) as store:
        numbers = store.put(whole)
        runs = store.find(kind="sweep")
        assert [run.id for run in runs] == list(numbers)
        assert [run.batch for run in runs] == [1, 2, 4, 8, 16, 32, 64, 128]
        assert [run.error for run in runs] == [None] * 7 + ["out of memory"]
        assert store.load(numbers[3]).points == (whole.points[3],)
        # 17,500 samples a second at batch 8, one call after the other.
        assert runs[3].metrics["throughput_per_s"] == 17_500
        assert list(store.frame["latency_s"][:2]) == [1 / 7_000, 2 / 12_000]


def test_a_figure_is_followed_over_time(path: Path) -> None:
    days = ["2025-01-09T00:00:00+00:00", "2025-01-02T00:00:00+00:00"]
    with eg.open_store(path) as store:
        for day in days:
            store.put(one(8, day))
        store.put(one(16, days[0]))
        history = store.history("small_cnn", "latency_s", batch=8)
        assert [entry.created_at for entry in history.entries] == sorted(days)
        assert [entry.value for entry in history.entries] == [1e-3, 1e-3]
        with pytest.raises(InputError, match="has 'macs'; there is bytes, compile_s"):
            store.history("small_cnn", "macs")
        with pytest.raises(InputError, match="no run of 'cnn'; it has small_cnn"):
            store.history("cnn")
        with pytest.raises(InputError, match="no run of 'small_cnn' with batch 3"):
            store.history("small_cnn", batch=3)


def test_a_point_of_a_sweep_is_there_once(path: Path) -> None:
    failed = replace(one(), points=(sweeps.failed(1),))
    with eg.open_store(path) as store, eg.open_store(path) as other:
        number = store.start_sweep("mine")
        assert other.start_sweep("mine") == number
        assert store.put_point(number, "1", failed)
        assert other.put_point(number, "1", one())  # in place of the one that failed
        assert not store.put_point(number, "1", one())
        assert store.put_point(number, "2", one(2))
        assert len(store.find()) == 2
        assert store.sweep(number).batches == (1, 2)
        store.finish_sweep("mine")
        again = store.start_sweep("mine")
        assert again != number
        assert store.points(again) == {}
        assert store.start_sweep("mine", fresh=True) != again


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


def test_a_run_that_is_not_there_and_a_damaged_one(path: Path) -> None:
    with eg.open_store(path) as store:
        (number,) = store.put(one())
        with pytest.raises(InputError, match="has no run 99"):
            store.load(99)
    with sqlite3.connect(path) as bad:
        bad.execute("UPDATE runs SET content = ?", (b"import os",))
    bad.close()
    with pytest.raises(FormatError, match=f"runs.db#{number} is not a saved result"):
        eg.load(f"{path}#{number}")


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
