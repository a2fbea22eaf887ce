"""Where XLA's compiler spent its time, pass by pass, from the profile of one compilation.

XLA tells the profiler of every pass that it runs. Those on the compiler's own thread follow each
other, so what they take themselves adds up to the whole. On CPUs kernels are made into machine code
by threads beside it; what these take goes on meanwhile.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from edgegraph.errors import EdgeGraphError
from edgegraph.measure.trace.xplane import Event, Line, read_planes

PASSES, CODE = "passes", "machine code"
"""On which threads: that of the compiler, and those that make machine code."""

_COMPILER = re.compile(r"(?:Cpu|Gpu|Tpu)Compiler::|^HLO passes through")
_CODE_THREAD = "codegen"
_MODULE = re.compile(r" \([^()]*\)$")
_PS_PER_S = 1e12

PassKey = str
"""The threads and the name of a pass, with a tab between."""


def passes_in(path: Path) -> dict[PassKey, float]:
    """Return the seconds that every pass took itself; none where XLA's does not tell."""
    lines = [line for plane in read_planes(path.read_bytes()) for line in plane.lines]
    compiling = [line for line in lines if any(_COMPILER.search(each.name) for each in line.events)]
    if not compiling:
        return {}
    found: dict[PassKey, float] = defaultdict(float)
    compiler = max(compiling, key=_busy)
    for line in lines:
        where = PASSES if line is compiler else CODE if _CODE_THREAD in line.name else None
        for name, seconds in _own(line) if where else ():
            found[f"{where}\t{name}"] += seconds
    return dict(found)


def written_profile(folder: Path) -> Path:
    """Return the profile that was written into a folder.

    Raises:
        EdgeGraphError: There is none, or more than one.
    """
    found = list(folder.rglob("*.xplane.pb"))
    if len(found) != 1:
        raise EdgeGraphError(f"the profiler wrote {len(found)} profiles, where one was expected")
    return found[0]


def _busy(line: Line) -> int:
    return sum(each.end_ps - each.start_ps for each in line.events)


def _own(line: Line) -> Iterator[tuple[str, float]]:
    """Yield the events of a thread with what they take themselves, without those inside them."""
    stack: list[tuple[Event, list[int]]] = []
    for event in line.events:
        while stack and stack[-1][0].end_ps <= event.start_ps:
            yield _closed(*stack.pop())
        if stack:
            stack[-1][1].append(event.end_ps - event.start_ps)
        stack.append((event, []))
    while stack:
        yield _closed(*stack.pop())


def _closed(event: Event, inside_ps: list[int]) -> tuple[str, float]:
    own_ps = max(0, event.end_ps - event.start_ps - sum(inside_ps))
    return _MODULE.sub("", event.name), own_ps / _PS_PER_S
