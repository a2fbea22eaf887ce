"""The kinds of results: what files call each, where its class stands, and what shows it.

Results are plain data and know nothing of the tables, pages and figures that are made of them.
The root of the package registers every kind by names alone, so that nothing is imported before
it is needed, and every import runs one way.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgegraph.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of result; places are written ``module:name``.

    Attributes:
        word: What files and messages call it.
        home: The place of its class.
        presenter: The place of its `edgegraph.reporting.presenters.Presenter`; None where it is
            not shown by itself.
        figures: Places of the functions that draw it, by the name of the figure; the first is
            its main one.
        command: The command that makes it.
        exports: The place of what writes it for other tools, or None.
        saved: Whether a file can hold it.
    """

    word: str
    home: str
    presenter: str | None = None
    figures: Mapping[str, str] = field(default_factory=dict)
    command: str = "analyze"
    exports: str | None = None
    saved: bool = True


KINDS: dict[str, Kind] = {}
"""Every kind by its word."""

_PLACES: dict[str, str] = {}


def register(kind: Kind) -> None:
    """Make a kind known to files, pages, plots and the run database."""
    KINDS[kind.word] = kind


def register_study(
    folder: str, *, word: str, result: str, command: str | None = None, more: Sequence[str] = ()
) -> None:
    """Make a study known that stands in one folder of ``edgegraph/studies``.

    Its figure and its command are called like the folder, where no other `command` is given. There,
    ``result.py`` holds the class, ``present.py`` its ``PRESENTER`` and the function ``draw``.
    `more` are names of further figures, each drawn by ``draw`` in a module called like it.
    """
    home = f"edgegraph.studies.{folder}"
    register(
        Kind(
            word=word,
            home=f"{home}.result:{result}",
            presenter=f"{home}.present:PRESENTER",
            figures={
                folder: f"{home}.present:draw",
                **{name: f"{home}.{name}:draw" for name in more},
            },
            command=command or folder,
        )
    )


def provide(**places: str) -> None:
    """Register what results need from parts above them, by what it does."""
    _PLACES.update(places)


def provided(name: str) -> Any:
    """Import what was registered under that name."""
    return resolve(_PLACES[name])


def resolve(place: str) -> Any:
    """Import what stands at ``module:name``."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def kind_of(result: object) -> Kind:
    """Return the kind of a result; refuse what is of none."""
    home = f"{type(result).__module__}:{type(result).__qualname__}"
    for kind in KINDS.values():
        if kind.home == home:
            return kind
    raise InputError(f"cannot save {result!r}; expected one of: {', '.join(saved_words())}")


def presenter_of(result: object) -> Any:
    """Return the `Presenter` of a result's class; refuse a kind that is not shown by itself."""
    kind = kind_of(result)
    if kind.presenter is None:
        shown = ", ".join(each.word for each in KINDS.values() if each.presenter and each.saved)
        raise InputError(f"cannot show a saved {kind.word} by itself; expected one of: {shown}")
    return resolve(kind.presenter)


def saved_words() -> list[str]:
    """Return the words of what a file can hold."""
    return [kind.word for kind in KINDS.values() if kind.saved]


def figure_places() -> dict[str, str]:
    """Return the places of all figures by their names; of two kinds' with one name the first."""
    places: dict[str, str] = {}
    for kind in KINDS.values():
        for name, place in kind.figures.items() if kind.saved else ():
            places.setdefault(name, place)
    return places
