"""The run database: every result in one SQLite file, and what it says over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from edgegraph.errors import FormatError, InputError
from edgegraph.results.base import Notes, Saved
from edgegraph.results.files import pack, unpack
from edgegraph.results.kinds import kind_of
from edgegraph.store.database import connect, explained, repeated, writing
from edgegraph.store.history import History, Run, follow, run_frame

if TYPE_CHECKING:
    import pandas as pd


TIMEOUT_S = 30.0
"""How long to wait for other processes that write."""

_FIELDS = tuple(field.name for field in fields(Run) if field.name != "metrics")

_NOTED = ("workload", "batch", "dtype", "target", "machine", "error", "verdict")
_ENVIRONMENT = ("edgegraph", "jax", "created_at")
"""Columns that are attributes of a result's notes, and of its environment."""

_MOST_DIGITS = 19
"""Of a number that SQLite gives to a run."""

_Given = TypeVar("_Given")


def open_store(path: str | Path, *, create: bool = True, timeout_s: float = TIMEOUT_S) -> Store:
    """Open a run database, one SQLite file; an older one is brought to this version.

    Many processes may read and write it at once, on one machine: each change waits for the one
    before it. The file must not lie on a network drive.

    Args:
        path: The file, by convention ``*.db``.
        create: Make it where there is none.
        timeout_s: How long to wait for others that write.

    Raises:
        InputError: It is not there, cannot be written, or stays locked.
        FormatError: It is not a run database, or one of a newer version.

    Example:
        >>> import tempfile, pathlib
        >>> with open_store(pathlib.Path(tempfile.mkdtemp()) / "runs.db") as store:
        ...     store.find(workload="small_cnn")
        []
    """
    path = Path(path)
    if not create and not path.is_file():
        raise InputError(f"no run database at {path}; eg.open_store(path) makes one")
    return Store(path, timeout_s=timeout_s)


def load_address(address: str) -> Any:
    """Return the result that ``runs.db#42`` names."""
    path, _, number = address.rpartition("#")
    if len(number) > _MOST_DIGITS:
        raise InputError(f"{path} has no run of a number with {len(number)} digits")
    with open_store(path, create=False) as store:
        return store.load(int(number))


class Store:
    """A run database that is open; one thread of one process uses it."""

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        """Open it; see `open_store`."""
        self.path = path
        self._timeout_s = timeout_s
        self._connection = connect(path, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        """Return the store; the end of the block closes it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name the file."""
        return f"<Store {self.path}>"

    def close(self) -> None:
        """Close the file; what was put stays."""
        self._connection.close()

    def put(self, result: Any, *, fingerprint: str | None = None) -> tuple[int, ...]:
        """Keep a result: an Analysis, a Sweep, or a study.

        Args:
            result: What to keep. Of a sweep every point is kept as a run of its own.
            fingerprint: Digest of the StableHLO, as `edgegraph.compiler.compile` returns it;
                points of a sweep know their own.

        Returns:
            Numbers of the runs, in order. All are kept, or none.

        Raises:
            InputError: It cannot be kept: it is of another kind, the disk is full, the database
                stays locked. What was there before is kept.
        """
        kind_of(result)
        made = [(each, pack(each)) for each in result.parts]

        def insert() -> tuple[int, ...]:
            found = [self._insert(each, content, fingerprint) for each, content in made]
            return tuple(number for number in found if number is not None)

        return self._write(insert)

    def find(
        self,
        *,
        workload: str | None = None,
        batch: int | None = None,
        dtype: str | None = None,
        target: str | None = None,
        kind: str | None = None,
        fingerprint: str | None = None,
        machine: str | None = None,
    ) -> list[Run]:
        """Return the runs that are so; the oldest first.

        Example:
            ``store.find(workload="small_cnn", batch=32)``
        """
        wanted = {
            "workload": workload, "batch": batch, "dtype": dtype, "target": target, "kind": kind,
            "fingerprint": fingerprint, "machine": machine,
        }  # fmt: skip
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        # One statement, so that no run is read without its figures.
        rows = self._read(
            f"SELECT name, value, {', '.join(_FIELDS)} FROM runs LEFT JOIN metrics"
            f" ON metrics.run = runs.id WHERE {where} ORDER BY created_at, id",
            tuple(given.values()),
        )
        figures: dict[Any, dict[str, float]] = {}
        for name, value, *values in rows:
            metrics = figures.setdefault(tuple(values), {})
            if name is not None:
                metrics[name] = value
        found = []
        for values, metrics in figures.items():
            noted = dict(zip(_FIELDS, values, strict=True))
            try:
                noted["options"] = msgspec.json.decode(noted["options"])
                found.append(msgspec.convert({**noted, "metrics": metrics}, Run))
            except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError) as error:
                raise FormatError(f"{self.path}#{noted['id']} is damaged: {error}") from error
        return found

    def history(self, workload: str, metric: str = "latency_s", **where: Any) -> History:
        """Follow a figure over time, with its change since the last run that compares.

        Args:
            workload: Name of the workload.
            metric: ``latency_s``, ``flops``, ``peak_memory_bytes``, ...
            **where: As `find`: ``batch=32, target="cpu"``.

        Returns:
            One entry per run that has it, the oldest first.

        Raises:
            InputError: No run of that workload has it; the message says what there is.
        """
        runs = self.find(workload=workload, **where)
        if not runs:
            raise InputError(self._missing(workload, where))
        if not any(metric in run.metrics for run in runs):
            known = sorted({name for run in runs for name in run.metrics})
            raise InputError(
                f"no run of {workload!r} in {self.path} has {metric!r}; there is"
                f" {', '.join(known) or 'no figure'}"
            )
        return follow(runs, metric)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per run, the oldest first: what it is of, then all figures that any run has."""
        import pandas as pd

        runs = self.find()
        names = dict.fromkeys(name for run in runs for name in run.metrics)
        figures = {
            name: pd.array([run.metrics.get(name) for run in runs], dtype="float64")
            for name in names
        }
        return run_frame(runs, Run).assign(**figures)

    @property
    def workloads(self) -> list[str]:
        """Names of the workloads that have runs."""
        rows = self._read("SELECT DISTINCT workload FROM runs ORDER BY workload")
        return [name for (name,) in rows]

    def load(self, number: int) -> Any:
        """Return the result of a run, as it was put; of a sweep, the sweep of that point.

        Raises:
            InputError: There is no such run.
            FormatError: Its content is damaged.
        """
        known = 0 < number < 1 << 63
        rows = self._read("SELECT content FROM runs WHERE id = ?", (number,)) if known else ()
        if not rows:
            raise InputError(f"{self.path} has no run {number}; `store.frame` lists them")
        return self._unpacked(rows[0][0], number)

    def _unpacked(self, content: object, number: int) -> Any:
        address = f"{self.path}#{number}"
        if not isinstance(content, bytes):
            raise FormatError(f"{address} is damaged: its content is a {type(content).__name__}")
        return unpack(content, address)

    def start_sweep(self, identity: str, *, fresh: bool = False) -> int:
        """Return the number of the sweep of that identity that is going on, or of a new one.

        Sweeps of one identity may continue each other, unless the new one is to begin afresh.
        """

        def start() -> int:
            if fresh:
                self._finish(identity)
            self._connection.execute(
                "INSERT INTO sweeps (identity) VALUES (?) ON CONFLICT DO NOTHING", (identity,)
            )
            (number,) = self._connection.execute(
                "SELECT id FROM sweeps WHERE identity = ? AND NOT finished", (identity,)
            ).fetchone()
            return int(number)

        return self._write(start)

    def finish_sweep(self, identity: str) -> None:
        """Mark a sweep as complete: the next one of that identity starts from scratch."""
        self._write(lambda: self._finish(identity))

    def put_point(self, sweep: int, cell: str, result: Saved) -> bool:
        """Keep a point of a sweep that is going on, unless it is there already without error.

        `sweep` is what `start_sweep` returned, `result` the sweep with this point alone. Returns
        whether it is new.
        """
        content = pack(result)

        def insert() -> bool:
            self._connection.execute(
                "DELETE FROM runs WHERE sweep = ? AND cell = ? AND error IS NOT NULL", (sweep, cell)
            )
            return self._insert(result, content, None, sweep, cell) is not None

        return self._write(insert)

    def points(self, sweep: int) -> dict[str, Any]:
        """Return the points of a sweep that are there, by cell."""
        rows = self._read(
            "SELECT id, cell, content FROM runs WHERE sweep = ? ORDER BY id", (sweep,)
        )
        return {cell: self._unpacked(content, id) for id, cell, content in rows}

    def sweep(self, number: int) -> Any:
        """Put the points of a sweep together again."""
        parts = list(self.points(number).values())
        if not parts:
            raise InputError(f"{self.path} has no point of a sweep {number}")
        return parts[0].joined(parts)

    def _finish(self, identity: str) -> None:
        self._connection.execute(
            "UPDATE sweeps SET finished = 1 WHERE identity = ? AND NOT finished", (identity,)
        )

    def _insert(
        self,
        result: Any,
        content: bytes,
        fingerprint: str | None,
        sweep: int | None = None,
        cell: str | None = None,
    ) -> int | None:
        notes: Notes = result.run_notes()
        row = {
            **{name: getattr(notes, name) for name in _NOTED},
            **{name: getattr(notes.environment, name) for name in _ENVIRONMENT},
            "kind": kind_of(result).word,
            "fingerprint": fingerprint or notes.fingerprint,
            "options": msgspec.json.encode(notes.options, order="deterministic").decode(),
            "content": content,
            "sweep": sweep,
            "cell": cell,
        }
        cursor = self._connection.execute(
            f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
            " ON CONFLICT (sweep, cell) WHERE sweep IS NOT NULL DO NOTHING",
            tuple(row.values()),
        )
        if not cursor.rowcount:
            return None
        number = cursor.lastrowid
        self._connection.executemany(
            "INSERT INTO metrics VALUES (?, ?, ?)",
            [(number, name, value) for name, value in notes.metrics.items()],
        )
        return number

    def _missing(self, workload: str, where: Mapping[str, Any]) -> str:
        known = self.workloads
        if workload in known:
            asked = ", ".join(f"{name} {value}" for name, value in where.items() if value)
            return f"{self.path} has no run of {workload!r} with {asked}"
        return (
            f"{self.path} has no run of {workload!r}; it has"
            f" {', '.join(known) or 'none of any workload'}"
        )

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._changed(lambda: self._connection.execute(statement, values).fetchall())

    def _write(self, action: Callable[[], _Given]) -> _Given:
        """Do all of it together, or nothing."""

        def together() -> _Given:
            with writing(self._connection):
                return action()

        return self._changed(together)

    def _changed(self, action: Callable[[], _Given]) -> _Given:
        with explained(self.path):
            return repeated(action, self._timeout_s)
