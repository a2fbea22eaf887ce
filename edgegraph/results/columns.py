"""Columns, each declared once: a field of a record, and how it adds up and is shown.

The annotation of a field gives its type, its name the unit, its class's docstring what it is. What
else there is to say stands beside the type, as ``Annotated[int | None, Column(heading="MACs")]``.
Frames, the roll-up of layers, tables and exports read all of this from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from inspect import getdoc
from operator import attrgetter
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

from edgegraph.base.shown import shown
from edgegraph.base.units import UNKNOWN, percent, ratio, seconds, si

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {int: "Int64", float: "float64", str: "string", bool: "boolean"}

_ATTRIBUTES = re.compile(r"^ {4}(\w[\w, ]*): (.+(?:\n {5,}.+)*)", re.MULTILINE)
"""Names and text in the section of a docstring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is known of a column. A declaration leaves out what follows from the field.

    Attributes:
        dtype: Of pandas, where unknown is NaN or <NA>, never 0. Counts are exact.
        unit: ``s``, ``B``, ``FLOP/B``, or "" for a count, a share, a word.
        adds: How the whole follows from its parts: their ``sum`` or the ``largest``; None where it
            does not.
        heading: In tables.
        write: Turns a value into the text of a cell.
        zero: Whether a cell shows a 0.
        about: What it is.
    """

    name: str = ""
    type: Any = None
    dtype: str = "object"
    unit: str = ""
    adds: Literal["sum", "largest"] | None = None
    heading: str = ""
    write: Callable[[Any], str] | None = None
    zero: bool = True
    about: str = ""

    def text(self, value: Any) -> str:
        """Write a value; an unknown number as a ?, and nothing for a word that there is not."""
        if value is None:
            return "" if self.dtype == "string" else UNKNOWN
        if self.write is not None:
            return self.write(value)
        if self.unit == "s":
            return seconds(value)
        if self.dtype == "Int64":
            return si(value, self.unit)
        return ratio(value) if self.dtype == "float64" else str(value)

    def cell(self, value: Any) -> str:
        """Write a value in a table, where of what is unknown only counts are marked."""
        silent = self.dtype != "Int64" if value is None else value == 0 and not self.zero
        return "" if silent else self.text(value)

    def add(self, values: Iterable[Any]) -> Any:
        """Return the whole of some parts; counts are a lower bound, where a part is unknown."""
        known = [value for value in values if value is not None]
        if self.adds == "largest":
            return max(known, default=None)
        return sum(known) if self.dtype == "Int64" else sum_of_times(known)


def sum_of_times(values: Iterable[float | None]) -> float | None:
    """Add times; unknown if all of them are, since no device was given then."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


TEXT = Column(dtype="string")
TIME = Column(dtype="float64", unit="s")
RATIO = Column(dtype="float64")
COUNT = Column(write=str)
"""A small count, shown whole."""

SHARE = Column(dtype="float64", write=percent)
"""A share from 0 to 1, shown in percent."""


Columns = MappingProxyType[str, Column]
"""By name, in the order of the frame."""


@cache
def columns_of(record: type, *names: str, rest: bool = False) -> Columns:
    """Return columns of a dataclass or msgspec Struct: the fields and properties named.

    Where none are named, these are all fields that hold one value; with `rest`, those follow.
    """
    fields = get_type_hints(record, include_extras=True)
    about = {
        name: " ".join(text.split())
        for each in reversed(record.__mro__)  # one that extends another says what is new
        for several, text in _ATTRIBUTES.findall(getdoc(each) or "")
        for name in several.split(", ")
    }
    found = {}
    for name in dict.fromkeys((*names, *(fields if rest or not names else ()))):
        hint = fields.get(name)
        if hint is None:
            getter = getattr(record, name).fget
            hint = get_type_hints(getter, include_extras=True)["return"]
            about[name] = " ".join((getdoc(getter) or "").split())
        column = _column(name, hint, about.get(name, ""))
        if name in names or column.dtype != "object":
            found[name] = column
    return MappingProxyType(found)


def _column(name: str, hint: Any, about: str) -> Column:
    declared = Column()
    if get_origin(hint) is Annotated:
        hint, declared = get_args(hint)
    kinds = set(get_args(hint)) - {NoneType} or {hint}
    dtype = _DTYPES.get(kinds.pop(), "object") if len(kinds) == 1 else "object"
    if hint is bool:
        dtype = "bool"
    return replace(
        declared,
        name=name,
        type=hint,
        dtype=dtype,
        unit=declared.unit or _unit(name.split("_")),
        heading=declared.heading or name,
        about=about,
    )


def _unit(words: Sequence[str]) -> str:
    if "per" in words:
        return ""
    return "B" if "bytes" in words else "s" if words[-1] == "s" else ""


def add_up(parts: Iterable[object], columns: Iterable[Column]) -> dict[str, Any]:
    """Return the whole of some records in every column that adds up, by name."""
    held = list(parts)
    return {
        column.name: column.add(map(attrgetter(column.name), held))
        for column in columns
        if column.adds
    }


def frame(
    records: Iterable[object], columns: Mapping[str, Column], **computed: Sequence[Any]
) -> pd.DataFrame:
    """Return records of one kind as a table, one row each.

    `columns` are by their name in the table, in its order; `computed` are the values of those that
    are no attributes of the records.
    """
    import pandas as pd

    held = list(records)
    data = {
        name: pd.Series(
            computed[name]
            if name in computed
            else [getattr(each, column.name or name) for each in held],
            dtype=column.dtype,
        )
        for name, column in columns.items()
    }
    return pd.DataFrame(data)


def notebook_table(frame: pd.DataFrame) -> str:
    """Return a table as HTML, with a ? for what is unknown, whatever its type."""
    table = shown(frame.to_html(na_rep="?"), keep="\n")
    return table.replace("&lt;NA&gt;", "?")


def rows(records: Iterable[object], columns: Iterable[str]) -> list[dict[str, Any]]:
    """Return records as JSON objects, with the names of the frame."""
    return [{name: getattr(record, name) for name in columns} for record in records]
