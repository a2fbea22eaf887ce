"""Finished points of a sweep that is not done yet, kept so that a rerun continues.

They stand in a run database where there is one; else in the user's cache folder, one file a sweep,
one line a point, and go when the sweep is done. A finished sweep that is run again is measured
again.
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
from edgegraph.results.sweep import Sweep, SweepPoint
from edgegraph.store import Store

Key = tuple[int, str | None, str]
"""A point's batch, dtype and options."""


class PartialSweep:
    """The finished points of one sweep on disk, and the only state of it.

    Attributes:
        path: The file.
        points: By batch, dtype and options.
    """

    def __init__(self, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what an earlier run has left.

        Args:
            identity: What must be the same for its points to be used: workload, options,
                settings, versions, machine.
            fresh: Leave it and start over.

        Raises:
            InputError: The cache folder cannot be written.
        """
        prepare_folder()
        self.path = cache_folder() / "sweeps" / f"{_digest(identity)}.jsonl"
        if fresh:
            self.remove()
        self.points: dict[Key, SweepPoint] = {}
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        for line in lines:
            # The last line may be cut off, and an older version's may lack something.
            with suppress(msgspec.MsgspecError):
                point = msgspec.json.decode(line, type=SweepPoint)
                self.points[point.batch, point.dtype, point.options] = point

    def add(self, made: Sweep) -> None:
        """Keep a point that was measured; one that failed is tried again by a rerun.

        Args:
            made: The sweep with this point alone.

        Raises:
            InputError: The file cannot be written.
        """
        (point,) = made.points
        if point.error is not None:
            return
        try:
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(point) + b"\n")
        except OSError as error:
            raise InputError(
                f"the finished points cannot be kept in {self.path.parent}"
                f" ({error.strerror or error}); make that folder writable"
            ) from error

    def remove(self) -> None:
        """Forget the points: the sweep is done."""
        self.path.unlink(missing_ok=True)


class StoredSweep:
    """The same in a run database, where the points stay.

    Attributes:
        points: By batch, dtype and options; without those that failed.
    """

    def __init__(self, store: Store, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what an earlier run has left; see `PartialSweep`.

        Raises:
            InputError: The database cannot be written.
        """
        self._store = store
        self._identity = _digest(identity)
        self._number = store.start_sweep(self._identity, fresh=fresh)
        self.points: dict[Key, SweepPoint] = {
            (point.batch, point.dtype, point.options): point
            for made in store.points(self._number).values()
            for point in made.points
            if point.error is None
        }

    def add(self, made: Sweep) -> None:
        """Keep a point; one that failed is tried again by a rerun, and replaced.

        Raises:
            InputError: The database cannot be written.
        """
        (point,) = made.points
        cell = msgspec.json.encode((point.batch, point.dtype, point.options)).decode()
        self._store.put_point(self._number, cell, made)

    def remove(self) -> None:
        """Close the sweep: it is done, and its points stay."""
        self._store.finish_sweep(self._identity)


def _digest(identity: Mapping[str, Any]) -> str:
    return sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()[:32]
