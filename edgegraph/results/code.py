"""Ops added up by the functions and lines of the code that they stand in, as a tree of calls."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Literal

from edgegraph.base.timing import bulk
from edgegraph.hlo.frames import CallPaths, common_path
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_name import MOST_SCOPES, scope_of
from edgegraph.results.op_trace import OpShare
from edgegraph.results.records import CodeRecord, LayerRecord, OpRecord
from edgegraph.results.roll_up import roll_up

By = Literal["function", "line"]

Place = tuple[str, str | int]
"""A file, and a function or line in it."""


@bulk
def code_records(
    ops: Sequence[OpRecord],
    shares: Sequence[OpShare],
    module: Module,
    by: By,
    *,
    made_at: str | None = None,
) -> tuple[CodeRecord, ...]:
    """Roll ops up by function or line, callers before what they call.

    Args:
        ops: Of an analysis, with their stack frames.
        shares: What of a traced time goes to them.
        module: The module that they are of.
        by: ``function`` or ``line``.
        made_at: When the analysis was made, ISO 8601; files changed since are not looked into.

    Returns:
        The rows; those of depth 0 add up to the program.
    """
    places = _places(ops, module, by)
    names = _names({place for path in places.values() for place in path}, by)
    layers = {path: _joined(path, names) for path in set(places.values())}
    sources = {
        "/".join(layer[: depth + 1]): path[depth]
        for path, layer in layers.items()
        for depth in range(len(layer))
    }
    paths = {name: "/".join(layers[path]) or None for name, path in places.items()}
    rows = roll_up(ops, None, (), shares, paths)
    return tuple(_with_source(row, sources.get(scope_of(row.layer)), made_at) for row in rows)


def _joined(path: Sequence[Place], names: Mapping[Place, str]) -> Sequence[str]:
    return [names[place] for place in path[:MOST_SCOPES]]


def _places(ops: Sequence[OpRecord], module: Module, by: By) -> Mapping[str, tuple[Place, ...]]:
    """Return where each op stands, callers first, from where the paths of all begin to differ."""
    calls = CallPaths(module)
    paths = _paths(ops, calls)
    shared = max(0, len(common_path(path for path in paths.values() if path)) - 1)
    places: dict[tuple[int, ...], tuple[Place, ...]] = {}
    for path in set(paths.values()):
        frames = map(calls.frame, path[shared:])
        places[path] = tuple(
            (each.file, each.line if by == "line" else each.function) for each in frames
        )
    found = {name: places[path] for name, path in paths.items()}
    if by == "line":  # an older module names lines only
        found |= {op.name: _line(op.source) for op in ops if op.source and not found[op.name]}
    return found


def _paths(ops: Sequence[OpRecord], calls: CallPaths) -> Mapping[str, tuple[int, ...]]:
    """Return the frames around each op, the outermost first.

    Before optimisation JAX writes those inside a called function relative to the call.
    """
    found: dict[str, tuple[int, ...]] = {}
    callers: dict[str | None, tuple[int, ...]] = {}
    for op in ops:
        caller = callers.get(op.parent, ())
        path = found[op.name] = _within(caller, calls.of(op.stack_frame), calls)
        # A loop or branch inside the function is relative to the same call.
        callers[op.name] = path if op.opcode == "call" else caller
    return found


def _within(caller: tuple[int, ...], path: tuple[int, ...], calls: CallPaths) -> tuple[int, ...]:
    if not caller or path[:1] == caller[:1]:
        return path
    functions = {calls.function(number) for number in caller}
    return (*caller, *(number for number in path if calls.function(number) not in functions))


def _line(source: str) -> tuple[Place, ...]:
    file, _, line = source.rpartition(":")
    return ((file, int(line)),) if file and line.isdecimal() else ()


def _names(places: Iterable[Place], by: By) -> Mapping[Place, str]:
    """Name functions and lines so that no two are called alike; a slash would end a name."""
    held = list(places)
    files = _short({file for file, _ in held})
    if by == "line":
        return {(file, line): f"{files[file]}:{line}" for file, line in held}
    called = {place: str(place[1]).replace(".<locals>", "").replace("/", ".") for place in held}
    homes: dict[str, set[str]] = {}
    for (file, _), name in called.items():
        homes.setdefault(name, set()).add(file)
    return {
        place: name if len(homes[name]) == 1 else f"{name} ({files[place[0]]})"
        for place, name in called.items()
    }


def _short(files: Iterable[str]) -> Mapping[str, str]:
    """Return the shortest end of each path that no other has; of a package's own its folder too."""
    parts = {file: re.split(r"[/\\]", file) for file in files}
    ends: dict[str, set[str]] = {}
    for file, each in parts.items():
        for count in range(1, len(each) + 1):
            ends.setdefault(".".join(each[-count:]), set()).add(file)
    return {
        file: next(
            (
                end
                for count in range(2 if each[-1] == "__init__.py" else 1, len(each) + 1)
                if len(ends[end := ".".join(each[-count:])]) == 1
            ),
            ".".join(each),
        )
        for file, each in parts.items()
    }


def _with_source(row: LayerRecord, place: Place | None, made_at: str | None) -> CodeRecord:
    made = {each.name: getattr(row, each.name) for each in fields(row)}
    if place is None:
        return CodeRecord(**made)
    file, at = place
    if isinstance(at, str):
        return CodeRecord(**made, source=file)
    return CodeRecord(**made, source=f"{file}:{at}", text=line_of_code(file, at, made_at))


def line_of_code(file: str, line: int, made_at: str | None) -> str | None:
    """Return a line of Python, where its file is here and was not changed since.

    What a damaged or foreign file names may be anything: only Python's own is looked into.
    """
    path = Path(file)
    try:
        if path.suffix != ".py" or not path.is_file():
            return None
        made_s = None if made_at is None else datetime.fromisoformat(made_at).timestamp()
        if made_s is not None and path.stat().st_mtime >= made_s + 1:  # it is of whole seconds
            return None
    except (OSError, ValueError):
        return None
    linecache.checkcache(file)
    return linecache.getline(file, line).strip() or None
