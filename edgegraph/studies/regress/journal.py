"""What a study has timed so far, kept until it is done: one that is interrupted goes on there."""

from __future__ import annotations

import hashlib
import shutil
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from edgegraph.base.files import cache_folder, keep
from edgegraph.studies.regress.turns import Generation
from edgegraph.studies.regress.workers import Source

LONGEST_S = 24 * 3600.0
"""Times that are older are taken anew: a machine changes."""


class Journal:
    """Generations of one study's processes, a file each, in the cache folder."""

    def __init__(self, source: Source) -> None:
        """Name its folder by what is studied."""
        identity = f"{Path.cwd()} {source}".encode()
        self.folder = cache_folder() / "regress" / hashlib.sha256(identity).hexdigest()[:16]

    def get(self, key: str) -> Generation | None:
        """Return what was kept under a key; None where nothing was, or it is damaged or old."""
        path = self._path(key)
        with suppress(OSError, msgspec.MsgspecError):
            if time.time() - path.stat().st_mtime < LONGEST_S:
                return msgspec.json.decode(path.read_bytes(), type=Generation)
        return None

    def put(self, key: str, generation: Generation) -> None:
        """Keep what a generation of processes saw."""
        keep(self._path(key), msgspec.json.encode(generation), "times of versions are")

    def finish(self) -> None:
        """Forget it all: the study is done, and the next one measures anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
