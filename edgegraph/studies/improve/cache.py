"""What was timed before on this machine with this jax, so that the next model is quick."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from edgegraph.base.files import replacing
from edgegraph.errors import InputError
from edgegraph.rewrites.timed import timed_forms_path
from edgegraph.studies.improve.trials import Change


class TimedForms:
    """Changes by signature, in one file for a machine, a version of jax, rules and permissions.

    A file that cannot be read is begun anew; one that cannot be written is a warning.
    """

    def __init__(self, allow: Collection[str] = ()) -> None:
        self.path: Path = timed_forms_path(allow)
        self._changes: dict[str, list[Change]] = {}
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=dict[str, list[Change]])
        except (OSError, msgspec.ValidationError, msgspec.DecodeError):
            return
        self._changes = found

    def get(self, signature: str) -> list[Change] | None:
        """Return what was found out about a site, or None if it was never timed."""
        return self._changes.get(signature)

    def put(self, signature: str, changes: Sequence[Change]) -> None:
        """Remember what was found out about a site."""
        self._changes[signature] = list(changes)

    def save(self) -> None:
        """Write what was found out, atomically."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                temporary.write_bytes(msgspec.json.encode(self._changes))
        except (OSError, InputError) as error:
            warnings.warn(f"timed forms are not kept: {error}", stacklevel=2)
