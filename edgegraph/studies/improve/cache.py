"""What was timed before on this machine with this jax, so that the next run is quick."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from edgegraph.base.files import keep
from edgegraph.rewrites.timed import timed_forms_path
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.settle import IDLE, taken_back
from edgegraph.studies.improve.trials import FOLDED, PREPARED, Change, Donation, OptionTrial
from edgegraph.studies.improve.whole import PLAIN, Whole, recipe_of

_Kept = TypeVar("_Kept")


class _Remembered(Generic[_Kept]):
    """Values by key, in one file.

    A file that cannot be read is replaced; one that cannot be written gives a warning.
    """

    def __init__(self, path: Path, kind: Any) -> None:
        self.path = path
        self._values: dict[str, _Kept] = {}
        try:
            self._values = msgspec.json.decode(path.read_bytes(), type=dict[str, kind])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return

    def get(self, key: str) -> _Kept | None:
        """Return what was found out, or None if nothing was."""
        return self._values.get(key)

    def put(self, key: str, value: _Kept) -> None:
        """Remember what was found out."""
        self._values[key] = value

    def save(self) -> None:
        """Write what was found out, atomically."""
        keep(self.path, msgspec.json.encode(self._values), "timed forms are")


class TimedForms(_Remembered[Sequence[Change]]):
    """Changes by signature of sites, for a machine, a version of jax, rules and permissions."""

    def __init__(self, allow: Collection[str] = ()) -> None:
        super().__init__(timed_forms_path(allow), list[Change])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was found out about a whole program.

    Attributes:
        whole_ratios: Time without a rule over that with all, by rule.
        taken_back: Names of rules, and of preparation, with the reason.
        options: Compiler options that were tried.
        donation: Donation that was tried.
    """

    whole_ratios: dict[str, float]
    taken_back: dict[str, str]
    options: tuple[OptionTrial, ...]
    donation: Donation | None


class SettledWholes(_Remembered[Settled]):
    """What was found out about whole programs, by what they are made of."""

    def __init__(self, allow: Collection[str] = ()) -> None:
        super().__init__(timed_forms_path(allow).with_suffix(".wholes.json"), Settled)


def whole_key(study: Improvement, whole: Whole, seconds: float) -> str:
    """Return a key for a program with its changes and the time they may be tried for."""
    recipe = recipe_of(study)
    made = (
        whole.program(PLAIN).fingerprint, sorted(recipe.decisions), recipe.prepared,
        recipe.folded, study.allow, seconds,
    )  # fmt: skip
    return sha256(repr(made).encode()).hexdigest()


def settled_of(before: Improvement, after: Improvement) -> Settled:
    """Return what trying the whole made of a study."""
    kept = {each.rule for each in after.changes if each.kept}
    gone = {
        each.rule: each.reason or ""
        for each, was in zip(after.changes, before.changes, strict=True)
        if was.kept and each.rule not in kept
    }
    if before.prepared and not after.prepared:
        gone[PREPARED] = IDLE
    if before.folded and not after.folded:
        gone[FOLDED] = IDLE
    ratios = {each.rule: each.whole_ratio for each in after.changes if each.whole_ratio}
    return Settled(
        whole_ratios=ratios, taken_back=gone, options=after.options, donation=after.donation
    )


def settled_again(study: Improvement, known: Settled) -> Improvement:
    """Return a study with what was found out about its whole before."""
    changes = (
        replace(each, whole_ratio=known.whole_ratios.get(each.rule)) if each.kept else each
        for each in study.changes
    )
    study = replace(study, changes=tuple(changes))
    for name, reason in known.taken_back.items():
        study = taken_back(study, [name], reason)
    return replace(study, options=known.options, donation=known.donation)
