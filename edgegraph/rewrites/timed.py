"""Forms that were timed on this machine before: where they are kept, and which won."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path

import jax
import msgspec

from edgegraph.base.files import cache_folder
from edgegraph.device.calibration.saved import machine_identity
from edgegraph.rewrites.rule import rules

VERSION = 2
"""Raised when more is kept of a form than before."""


class TimedForm(msgspec.Struct, frozen=True, kw_only=True):
    """One form of a site, timed alone against the plain one.

    Attributes:
        rule: Name of the rule.
        title: What becomes what.
        plain_s, form_s: Median times.
        kept: Whether it is the best, and fast enough to be tried in the whole program.
    """

    rule: str
    title: str
    plain_s: float
    form_s: float
    kept: bool


def timed_forms_path(allow: Collection[str] = ()) -> Path:
    """Return the file for this machine, jax, rules and permissions; it need not exist."""
    asked = [rule.name for rule in rules().values() if not rule.needs or rule.needs in allow]
    known = f"{sorted(machine_identity().items())} {jax.__version__} {sorted(asked)} {VERSION}"
    return cache_folder() / f"rewrites-{sha256(known.encode()).hexdigest()[:16]}.json"


def best_forms() -> Mapping[str, TimedForm | None]:
    """Return the best form of every site that was timed here, by signature; None where none won."""
    try:
        data = timed_forms_path().read_bytes()
        found = msgspec.json.decode(data, type=dict[str, list[TimedForm]])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {
        signature: next((form for form in forms if form.kept), None)
        for signature, forms in found.items()
    }
