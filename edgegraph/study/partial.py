"""Finished points of a sweep that is not done yet, kept so that a rerun continues.

They stand in a run database where there is one; else in the user's cache folder, one file a sweep,
one line a point, and go when the sweep is done. (The cache may lie on a network drive, where no
database may.) A finished sweep that is run again is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import msgspec

from edgegraph.device.store import prepare_folder
from edgegraph.errors import InputError
from edgegraph.folders import cache_folder
from edgegraph.results.sweep import Sweep
from edgegraph.store import Store
from edgegraph.study.plan import Cell, cell_of


def finished_points(
    identity: Mapping[str, Any], store: Store | None, *, fresh: bool
) -> PartialSweep | StoredSweep:
    """Return what an interrupted run of the same sweep has finished, and save there what follows.

    Args:
        identity: What must be the same for its points to be used: workload, options, settings,
            versions, machine.
        store: Where to keep them; the cache folder where None.
        fresh: Leave what is there and start over.

    Raises:
        InputError: They cannot be kept.
    """
    if store is None:
        return PartialSweep(identity, fresh=fresh)
    return StoredSweep(store, identity, fresh=fresh)


class PartialSweep:
    """The finished points of one sweep on disk, and the only state of it.

    Attributes:
        path: The file.
        parts: The sweep with each point alone, without those that failed.
    """

    def __init__(self, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what an earlier run has left; see `finished_points`."""
        prepare_folder()
        self.path = cache_folder() / "sweeps" / f"{_digest(identity)}.jsonl"
        if fresh:
            self.close()
        self.parts: dict[Cell, Sweep] = {}
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        for line in lines:
            # The last line may be cut off, and an older version's may lack something.
            with suppress(msgspec.MsgspecError):
                part = msgspec.json.decode(line, type=Sweep)
                self.parts[cell_of(part.points[0])] = part

    def add(self, part: Sweep) -> None:
        """Keep a point; one that failed is tried again by a rerun.

        Raises:
            InputError: The file cannot be written.
        """
        if part.points[0].error is not None:
            return
        try:
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(part) + b"\n")
        except OSError as error:
            raise InputError(
                f"the finished points cannot be kept in {self.path.parent}"
                f" ({error.strerror or error}); make that folder writable"
            ) from error

    def close(self) -> None:
        """Forget the points: the sweep is done."""
        self.path.unlink(missing_ok=True)


class StoredSweep:
    """The same in a run database, where the points stay.

    Attributes:
        parts: The sweep with each point alone, without those that failed.
    """

    def __init__(self, store: Store, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what an earlier run has left; see `finished_points`."""
        self._store = store
        self._identity = _digest(identity)
        self._number = store.start_sweep(self._identity, fresh=fresh)
        self.parts: dict[Cell, Sweep] = {
            cell_of(part.points[0]): part
            for part in store.points(self._number).values()
            if part.points[0].error is None
        }

    def add(self, part: Sweep) -> None:
        """Keep a point; one that failed is tried again by a rerun, and replaced.

        Raises:
            InputError: The database cannot be written.
        """
        cell = msgspec.json.encode(cell_of(part.points[0])).decode()
        self._store.put_point(self._number, cell, part)

    def close(self) -> None:
        """End the sweep: it is done, and its points stay."""
        self._store.finish_sweep(self._identity)


def _digest(identity: Mapping[str, Any]) -> str:
    return sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()[:32]
