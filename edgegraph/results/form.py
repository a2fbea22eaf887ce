"""What results look like as JSON: one form for each class, from which documents and schema follow.

A form has the columns of its class, with their types and what they are. Of a class that says
nothing else with `in_document` these are all its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from edgegraph.device.device import Device
from edgegraph.results.columns import Column, columns_of
from edgegraph.results.kinds import kind_of

FORMAT = "edgegraph-document"
VERSION = 3
"""Raised when a name goes or comes to mean something else; further names may come at any time."""

_FORMS: dict[type, Mapping[str, Column]] = {}


def in_document(
    kind: type,
    columns: Mapping[str, Column] | None = None,
    *,
    less: str = "",
    more: Iterable[str] = (),
) -> None:
    """Say what stands of a class in documents.

    Args:
        kind: The class.
        columns: What stands there; all its fields where None.
        less: A field that does not.
        more: Names of properties that stand there too.
    """
    if columns is None:
        fields = [name for name in get_type_hints(kind) if name != less]
        columns = columns_of(kind, *fields, *more)
    _FORMS[kind] = columns


in_document(Device, less="kernel_rates")


def told(result: Any, **derived: Any) -> dict[str, Any]:
    """Return a result as a JSON object, as `schema` describes it.

    `derived` are the values of columns that are no attributes of the result.
    """
    word = kind_of(result).word
    kind: type = type(result)
    whole = form(kind, word)
    values = {"format": FORMAT, "version": VERSION, "kind": word} | derived
    values |= {
        name: getattr(result, name) for name in whole.__struct_fields__ if name not in values
    }
    made: dict[str, Any] = msgspec.to_builtins(msgspec.convert(values, whole, from_attributes=True))
    return made


@cache
def form(kind: type, word: str | None = None) -> type[msgspec.Struct]:
    """Return what a class looks like in a document: nothing may be missing, nothing more.

    With the word for its kind it is that of a whole document, which begins with what it is.
    """
    columns = _FORMS.get(kind) or columns_of(kind, *get_type_hints(kind))
    head = {} if word is None else {
        "format": (Literal[FORMAT], "What documents of EdgeGraph have in common."),
        "version": (int, "Of the names and of what they mean."),
        "kind": (Literal[word], "What it is of."),
    }  # fmt: skip
    fields = head | {name: (_form(each.type), each.about) for name, each in columns.items()}
    return msgspec.defstruct(
        kind.__name__,
        [
            (name, Annotated[of, msgspec.Meta(description=about)])
            for name, (of, about) in fields.items()
        ],
        forbid_unknown_fields=True,
    )


def _form(hint: Any) -> Any:
    """Put the forms of classes into the type of a field."""
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, msgspec.Struct)):
        return form(hint)
    inner = tuple(each if each is ... else _form(each) for each in get_args(hint))
    if isinstance(hint, UnionType):
        return reduce(or_, inner)
    return get_origin(hint)[inner] if inner else hint
