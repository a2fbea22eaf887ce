"""Calling a program under the profiler, and just as often without it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import jax

from edgegraph import xla
from edgegraph.base.files import replacing
from edgegraph.base.timing import (
    NANOSECONDS_PER_S,
    Clock,
    garbage_collection_paused,
    monotonic_clock,
)
from edgegraph.cost.price import count_executions
from edgegraph.cost.trip_counts import trip_counts
from edgegraph.errors import InputError
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_tree import OpTree
from edgegraph.measure.trace.timeline import STEP

WARM_UP = 2
"""Traced calls that are dropped: the first was seen to take 40 ms where later ones took 3."""

FEWEST, MOST = 3, 50
"""Traced calls that count, unless their number is asked for."""

SHARE_OF_LIMIT = 0.1
"""Of the time limit of a measurement that the traced calls may take."""

MOST_EVENTS = 1_000_000
"""In a trace; it is held in memory and decoded."""

_EVENTS_PER_OP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A profile, and what calls took around it.

    Attributes:
        xspace: The serialized profile.
        untraced_s: Median of the calls without the profiler, half of them before the trace and
            half after it.
    """

    xspace: bytes
    untraced_s: float


def events_per_call(module: Module, nodes: Sequence[Node]) -> int:
    """Estimate how many events a call leaves in a trace, loops of unknown length counted once."""
    executions = count_executions(nodes, trip_counts(module))
    return _EVENTS_PER_OP * sum(executions[node.name].counted for node in OpTree(nodes).outside)


def fits(module: Module, nodes: Sequence[Node]) -> bool:
    """Return whether a trace of the fewest calls holds no more events than are taken."""
    return events_per_call(module, nodes) * (WARM_UP + FEWEST) <= MOST_EVENTS


def record(
    call: Callable[[], Any],
    *,
    after: Callable[[object], None] | None = None,
    warm_up: int = WARM_UP,
    steps: int | None = None,
    limit_s: float,
    events: int,
    with_modules: bool = False,
    clock: Clock = monotonic_clock,
) -> Recording:
    """Call a program some times under the profiler.

    Args:
        call: Blocks until the results are there.
        after: Handed every result, to replace what the call consumed.
        warm_up: Traced calls to be dropped later.
        steps: Traced calls that count; as many as fit into a tenth of `limit_s` where None,
            but at least 3 and at most 50.
        limit_s: Of the measurement.
        events: What a call leaves in the trace.
        with_modules: Keep the HLO in the profile.
        clock: Nanoseconds.

    Raises:
        InputError: The trace would not fit into memory.
    """
    if events * (warm_up + (steps or FEWEST)) > MOST_EVENTS:
        raise InputError(
            f"a trace of this program would hold about {events} events per call; more than"
            f" {MOST_EVENTS} in all are not taken; leave the trace out"
        )

    def timed() -> float:
        started = clock()
        result = call()
        ended = clock()
        if after is not None:
            after(result)
        return (ended - started) / NANOSECONDS_PER_S

    timed()
    call_s = timed()
    if steps is None:
        fitting = min(limit_s * SHARE_OF_LIMIT / max(call_s, 1e-9), MOST_EVENTS / max(events, 1))
        steps = max(FEWEST, min(MOST, int(fitting) - warm_up))
    half = (steps + 1) // 2

    def traced() -> None:
        for step in range(warm_up + steps):
            with jax.profiler.StepTraceAnnotation(STEP, step_num=step):
                result = call()
            if after is not None:
                after(result)

    with garbage_collection_paused():
        untraced = [timed() for _ in range(half)]
        xspace = xla.profile(traced, with_modules=with_modules)
        timed()
        untraced += [timed() for _ in range(half)]
    return Recording(xspace=xspace, untraced_s=median(untraced))


def keep(xspace: bytes, folder: Path, name: str) -> Path:
    """Write a profile where XProf and TensorBoard look for it.

    Args:
        xspace: The serialized profile.
        folder: The log folder; made where it is missing.
        name: Of the program; with the time, it names the run.

    Returns:
        The file written: ``<folder>/plugins/profile/<run>/<host>.xplane.pb``.

    Raises:
        InputError: The folder cannot be made or written.
    """
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    run = f"{plain}_{datetime.now():%Y_%m_%d_%H_%M_%S_%f}"
    path = folder / "plugins" / "profile" / run / f"{socket.gethostname()}.xplane.pb"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    with replacing(path) as temporary:
        temporary.write_bytes(xspace)
    return path
