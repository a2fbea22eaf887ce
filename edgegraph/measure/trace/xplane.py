"""The profiler's file (XSpace), read with our own few fields of its schema.

A file may come from anywhere: it is data, and what contradicts itself is refused. Reading it
needs no jax, so a trace can be looked at where jax is not.

Field numbers: openxla/xla, ``xla/tsl/profiler/protobuf/xplane.proto``. Times are picoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from google.protobuf.message import DecodeError
from msgspec import Struct

from edgegraph.base.timing import bulk
from edgegraph.errors import FormatError
from edgegraph.hlo.schema import Messages, Proto, message_classes

PS_PER_NS = 1000

Stat = str | int

_MESSAGES: Messages = {
    "XSpace": {"planes": (1, "XPlane*"), "hostnames": (4, "string*")},
    "XPlane": {
        "id": (1, "int64"),
        "name": (2, "string"),
        "lines": (3, "XLine*"),
        "event_metadata": (4, "EventMetadataEntry*"),
        "stat_metadata": (5, "StatMetadataEntry*"),
        "stats": (6, "XStat*"),
    },
    "EventMetadataEntry": {"key": (1, "int64"), "value": (2, "XEventMetadata")},
    "StatMetadataEntry": {"key": (1, "int64"), "value": (2, "XStatMetadata")},
    "XEventMetadata": {
        "id": (1, "int64"),
        "name": (2, "string"),
        "display_name": (4, "string"),
        "stats": (5, "XStat*"),
    },
    "XStatMetadata": {"id": (1, "int64"), "name": (2, "string")},
    "XLine": {
        "id": (1, "int64"),
        "name": (2, "string"),
        "timestamp_ns": (3, "int64"),
        "events": (4, "XEvent*"),
        "display_name": (11, "string"),
    },
    "XEvent": {
        "metadata_id": (1, "int64"),
        "offset_ps": (2, "int64"),
        "duration_ps": (3, "int64"),
        "stats": (4, "XStat*"),
    },
    # One of these is set; a zero is the same whichever it was.
    "XStat": {
        "metadata_id": (1, "int64"),
        "uint64_value": (3, "uint64"),
        "int64_value": (4, "int64"),
        "str_value": (5, "string"),
        "bytes_value": (6, "bytes"),
        "ref_value": (7, "uint64"),
    },
}

message_class = message_classes("edgegraph.xplane", _MESSAGES)
"""Returns the class of a message by its name."""

_XSpace = message_class("XSpace")

_WANTED = frozenset(
    {
        "hlo_op", "hlo_module", "program_id", "run_id", "device_ordinal", "step_num",
        "_p", "_pt", "_c", "_ct",
    }
)  # fmt: skip
"""Statistics of events that mean something here; of the others there are dozens."""

_HLO = ("Hlo Proto", "hlo_proto")
"""The statistic with a program that ran, which XLA has called differently."""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a thread or a device did, with the statistics that are understood."""

    name: str
    display_name: str
    start_ps: int
    end_ps: int
    stats: Mapping[str, Stat]


class Line(Struct, frozen=True, kw_only=True):
    """The events of one thread, stream or unit, by start; of equals the longer first."""

    name: str
    events: tuple[Event, ...]


class Plane(Struct, frozen=True, kw_only=True):
    """The host (``/host:CPU``), a device (``/device:TPU:0``), or ``/host:metadata``.

    `stats` tell what device it is; `programs` are the HloProtos of what ran, by name and id.
    """

    name: str
    lines: tuple[Line, ...]
    stats: Mapping[str, Stat] = {}
    programs: Mapping[tuple[str, int | None], bytes] = {}


def is_profile(data: bytes) -> bool:
    """Return whether data begin as an XSpace does: with a plane that has a number and a name."""
    return _BEGINNING.match(data) is not None


_BEGINNING = re.compile(
    rb"(?:\x0a\x00)*\x0a[\x80-\xff]{0,4}[\x01-\x7f](?:\x08[\x80-\xff]{0,9}[\x00-\x7f])?"
    rb"\x12[\x01-\x7f](?:/(?:host|device)[:_]|/custom:|Task Environment)"
)


def read_planes(serialized: bytes) -> tuple[Plane, ...]:
    """Decode an XSpace, such as a ``.xplane.pb`` file holds."""
    return read_space(serialized)[0]


@bulk
def read_space(serialized: bytes) -> tuple[tuple[Plane, ...], tuple[str, ...]]:
    """Decode an XSpace; return its planes, and the names of the machines that it was taken on."""
    try:
        space = _XSpace.FromString(serialized)
    except DecodeError as error:
        raise FormatError(
            "not a profile: expected the XSpace of an .xplane.pb file; it is cut off, damaged or"
            " of another kind"
        ) from error
    if not space.planes:
        raise FormatError("the profile is empty: it holds no plane of a host or a device")
    return tuple(_plane(plane) for plane in space.planes), tuple(space.hostnames)


def _plane(plane: Proto) -> Plane:
    names = {entry.key: entry.value.name for entry in plane.stat_metadata}
    wanted = {key: name for key, name in names.items() if name in _WANTED}
    kinds = {
        entry.key: (
            entry.value.name,
            entry.value.display_name,
            _stats(entry.value.stats, wanted, names),
        )
        for entry in plane.event_metadata
    }
    lines = tuple(_line(line, kinds, wanted, names) for line in plane.lines)
    return Plane(
        name=plane.name,
        lines=lines,
        stats=_stats(plane.stats, names, names),
        programs=dict(_programs(plane, names)),
    )


def _programs(
    plane: Proto, names: Mapping[int, str]
) -> Iterator[tuple[tuple[str, int | None], bytes]]:
    """Yield the programs among the metadata of a plane's events, called such as ``jit_f(7)``."""
    hlo = {key for key, name in names.items() if name in _HLO}
    for entry in plane.event_metadata if hlo else ():
        for stat in entry.value.stats:
            if stat.metadata_id in hlo and stat.bytes_value:
                yield named_program(entry.value.name), stat.bytes_value


def named_program(text: str) -> tuple[str, int | None]:
    """Return the name and the id in what XLA calls a program: ``jit_f(7)``."""
    name, _, number = text.removesuffix(")").rpartition("(")
    return (name, program_number(int(number))) if number.isdecimal() and name else (text, None)


def program_number(value: int) -> int:
    """Return a program's id, which is written as a signed number or as an unsigned one."""
    return value % (1 << 64)


def _line(
    line: Proto,
    kinds: Mapping[int, tuple[str, str, Mapping[str, Stat]]],
    wanted: Mapping[int, str],
    names: Mapping[int, str],
) -> Line:
    begin = line.timestamp_ns * PS_PER_NS
    events: list[Event] = []
    for event in line.events:
        name, display_name, common = kinds.get(event.metadata_id, ("", "", {}))
        start, duration = begin + event.offset_ps, event.duration_ps
        if duration < 0:
            raise FormatError(f"profile: event {name!r} on {line.name!r} lasts {duration} ps")
        own = _stats(event.stats, wanted, names)
        events.append(
            Event(
                name=name,
                display_name=display_name,
                start_ps=start,
                end_ps=start + duration,
                stats={**common, **own} if common else own,
            )
        )
    events.sort(key=lambda event: (event.start_ps, -event.end_ps))
    return Line(name=line.display_name or line.name, events=tuple(events))


def _stats(stats: Proto, wanted: Mapping[int, str], names: Mapping[int, str]) -> Mapping[str, Stat]:
    """Read the values that are understood; a reference stands for the name that it refers to."""
    return {
        wanted[stat.metadata_id]: stat.str_value
        or (names.get(stat.ref_value, "") if stat.ref_value else "")
        or stat.int64_value
        or stat.uint64_value
        for stat in stats
        if stat.metadata_id in wanted
    }
