"""Finished points of a sweep that is not done yet, kept so that a rerun continues.

They stand in the user's cache folder, one file a sweep, one line a point, and go when the sweep
is done: a finished sweep that is run again is measured again.
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
from edgegraph.results.sweep import SweepPoint

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
        digest = sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()
        self.path = cache_folder() / "sweeps" / f"{digest[:32]}.jsonl"
        if fresh:
            self.remove()
        self.points: dict[Key, SweepPoint] = {}
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        for line in lines:
            # The last line may be cut off, and an older version's may lack something.
            with suppress(msgspec.MsgspecError):
                point = msgspec.json.decode(line, type=SweepPoint)
                self.points[point.batch, point.dtype, point.options] = point

    def add(self, point: SweepPoint) -> None:
        """Keep a point that was measured; one that failed is tried again by a rerun.

        Raises:
            InputError: The file cannot be written.
        """
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
