"""Whether a result from a file agrees with itself, as every result does that was saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgegraph.hlo.op_name import MOST_SCOPES
from edgegraph.results.records import PHASES

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis

_MOST = (1 << 63) - 1
_PLAIN = {str, float, bool, bytes, type(None)}
"""Types of what needs no look: it is most of a file."""

_BOUNDS = ("compute", "memory", "network", "overhead")
_SOURCES = ("measured", "split by layers", "split by roofline", "split by counts", "estimated")
_WORDS: Mapping[str, tuple[str, ...]] = {
    "phase": PHASES, "bound": _BOUNDS, "time_source": _SOURCES,
    "executions_source": ("module", "trace", "given"),
}  # fmt: skip
"""What fields of ops and layers may say, besides None."""


def contradiction(result: Any) -> str | None:
    """Return in words what in a result cannot be; None where all of it can."""
    problems = _out_of_range([result], "")
    if hasattr(result, "op_records"):
        problems = chain(problems, _in_ops(result), _in_layers(result))
    return next(problems, None)


def _out_of_range(values: Iterable[Any], name: str) -> Iterator[str]:
    """Name whole numbers that count nothing; the values of a field are looked at together."""
    held = list(values)
    kinds: set[Any] = set(map(type, held))
    for kind in kinds - _PLAIN:
        same = [each for each in held if type(each) is kind]
        if kind is int:
            if min(same) < 0:
                yield f"{name} is negative"
            if max(same) > _MOST:
                yield f"{name} is beyond 2^63"
        elif kind in (tuple, list):
            yield from _out_of_range(chain.from_iterable(same), name)
        elif kind is dict:
            yield from _out_of_range((each for one in same for each in one.values()), name)
        elif is_dataclass(kind) or issubclass(kind, Struct):
            for field in _fields(kind):
                yield from _out_of_range(map(attrgetter(field), same), field)


def _fields(kind: Any) -> Iterable[str]:
    return kind.__struct_fields__ if issubclass(kind, Struct) else [f.name for f in fields(kind)]


def _in_ops(analysis: Analysis) -> Iterator[str]:
    from google.protobuf.message import DecodeError  # which few commands need

    from edgegraph.hlo.schema import NamedModuleProto

    yield from _words(analysis.op_records, "op")
    try:
        module = NamedModuleProto.FromString(analysis.serialized_module)
    except DecodeError:
        yield "its module is no HLO"
        return
    known = {each.name for one in module.computations for each in one.instructions}
    names: set[str] = set()
    for record in analysis.op_records:
        if record.name not in known and record.name.rpartition("/")[2] not in known:
            yield f"the op {record.name!r} is not in its module"
        if record.name in names:
            yield f"the op {record.name!r} is there twice"
        if record.parent is not None and record.parent not in names:
            yield f"the op {record.name!r} runs in {record.parent!r}, which does not come before it"
        names.add(record.name)
    if analysis.device is not None:
        levels = {None, *(level.name for level in analysis.device.memory)}
        for level in {record.level for record in analysis.op_records} - levels:
            yield f"the memory level {level!r} is not one of its device"


def _in_layers(analysis: Analysis) -> Iterator[str]:
    yield from _words(analysis.layer_records, "layer")
    above = -1
    for row in analysis.layer_records:
        if row.depth > above + 1:
            yield f"the layer {row.layer!r} has no layer above it"
        above = row.depth
        if row.layer.count("/") > MOST_SCOPES:
            yield f"the layer {row.layer[:40]!r}... is deeper than {MOST_SCOPES} scopes"


def _words(records: Iterable[Any], what: str) -> Iterator[str]:
    held = list(records)
    for name, words in _WORDS.items():
        if held and name in _fields(type(held[0])):
            for word in {getattr(each, name) for each in held} - {None, *words}:
                yield f"{name} of the {what}s is {word!r}; expected one of: {', '.join(words)}"
