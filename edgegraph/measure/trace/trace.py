"""Calling a program under the profiler, and finding its ops in a profile."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    Progress,
    collector_paused,
    monotonic_clock,
    no_progress,
)
from edgegraph.compiler.program import Program
from edgegraph.cost.price import count_executions
from edgegraph.cost.trip_counts import trip_counts
from edgegraph.errors import InputError
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_tree import OpTree
from edgegraph.measure.latency import ExecutableCall, prefer_synchronous_dispatch, program_arguments
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.trace.runs import TracedRun, count_loops, find_runs
from edgegraph.measure.trace.summary import Traced
from edgegraph.measure.trace.timeline import STEP, Timeline, read_timeline
from edgegraph.measure.trace.xplane import read_planes

WARM_UP = 2
"""Traced calls that are dropped: the first was seen to take 40 ms where later ones took 3."""

FEWEST, MOST = 3, 50
"""Traced calls that count, unless their number is asked for."""

SHARE_OF_LIMIT = 0.1
"""Of the time limit of a measurement that the traced calls may take."""

MOST_EVENTS = 1_000_000
"""In a trace; it is held in memory and decoded."""

_EVENTS_PER_OP = 3


def fits(module: Module, nodes: Sequence[Node]) -> bool:
    """Return whether a trace of the fewest calls holds no more events than are taken."""
    return events_per_call(module, nodes) * (WARM_UP + FEWEST) <= MOST_EVENTS


def events_per_call(module: Module, nodes: Sequence[Node]) -> int:
    """Estimate how many events a call leaves in a trace, loops of unknown length counted once."""
    executions = count_executions(nodes, trip_counts(module))
    return _EVENTS_PER_OP * sum(executions[node.name].counted for node in OpTree(nodes).outside)


def take_trace(
    program: Program,
    nodes: Sequence[Node],
    *,
    warm_up: int = WARM_UP,
    steps: int | None = None,
    trace_dir: str | Path | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> Traced:
    """Trace a program and find its ops in the trace; `trace_dir` is a log folder to keep it in."""
    if warm_up < 1 or (steps is not None and steps < 1):
        raise InputError(
            f"warm_up={warm_up}, steps={steps}: both must be positive integers, because the"
            " first traced call is always slow"
        )
    # Ops take what they take in whichever thread; only the calls' own lengths gain by it.
    prefer_synchronous_dispatch()
    (progress or no_progress)(f"{program.name}: tracing ops", None)
    call = ExecutableCall(program.executable, program_arguments(program))
    recording = record(
        call,
        after=call.after,
        warm_up=warm_up,
        steps=steps,
        limit_s=(settings or MeasurementSettings()).limit_s,
        events=events_per_call(program.module, nodes),
        with_modules=trace_dir is not None,
    )
    if trace_dir is not None:
        keep(recording.xspace, Path(trace_dir), program.name)
    return replace(
        join_trace(recording.xspace, program, nodes, warm_up),
        untraced_s=recording.untraced_s,
        untraced_min_s=recording.untraced_min_s,
        kept_at=None if trace_dir is None else str(trace_dir),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A profile, and calls without the profiler, half of them before and half after.

    Of these the median and the quickest, in seconds.
    """

    xspace: bytes
    untraced_s: float
    untraced_min_s: float


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
    """Call a program some times under the profiler, and as often without it.

    `steps` is None for as many as fit into a tenth of `limit_s`, but 3 to 50; `warm_up` more come
    before. `after` replaces what a call consumed; `events` is what a call leaves in the trace.
    """
    _check_size(events * (warm_up + (steps or FEWEST)), events)

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
        steps = max(FEWEST, min(MOST, _fitting(call_s, limit_s, events) - warm_up))
    half = (steps + 1) // 2

    def traced() -> None:
        for step in range(warm_up + steps):
            with jax.profiler.StepTraceAnnotation(STEP, step_num=step):
                result = call()
            if after is not None:
                after(result)

    with collector_paused(collect=True):
        untraced = [timed() for _ in range(half)]
        xspace = xla.profile(traced, with_modules=with_modules)
        timed()
        untraced += [timed() for _ in range(half)]
    return Recording(xspace=xspace, untraced_s=median(untraced), untraced_min_s=min(untraced))


def _fitting(call_s: float, limit_s: float, events: int) -> int:
    """Return how many calls fit into the time and the memory of a trace."""
    return int(min(limit_s * SHARE_OF_LIMIT / max(call_s, 1e-9), MOST_EVENTS / max(events, 1)))


def _check_size(all_events: int, events: int) -> None:
    if all_events > MOST_EVENTS:
        raise InputError(
            f"a trace of this program would hold about {events} events per call; more than"
            f" {MOST_EVENTS} in all are not taken; leave the trace out"
        )


def keep(xspace: bytes, folder: Path, name: str) -> Path:
    """Write a profile to ``<folder>/plugins/profile/<run>/<host>.xplane.pb``, where XProf looks."""
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


def join_trace(xspace: bytes, program: Program, nodes: Sequence[Node], warm_up: int) -> Traced:
    """Find a program's ops in a profile; on every device `warm_up` calls are dropped, one kept."""
    return join_timeline(read_timeline(read_planes(xspace)), program, nodes, warm_up)


def join_timeline(
    timeline: Timeline, program: Program, nodes: Sequence[Node], warm_up: int = 1
) -> Traced:
    """Find a program's ops on a timeline, as `join_trace` does."""
    module = program.module
    its = timeline.of(module.name)
    runs = find_runs(its, nodes)
    if not any(run.ops for run in runs):
        found = ", ".join(sorted({name for name, _ in timeline.programs})) or "none"
        raise InputError(
            f"no op of module {module.name!r} shows in the profile; modules in it: {found}"
        )
    kept = _without_warm_up(runs, warm_up)
    return Traced(
        module=module.name,
        nodes=nodes,
        runs=kept,
        timeline=its,
        loops=count_loops(module, nodes, kept),
        warm_up=len(runs) - len(kept),
    )


def _without_warm_up(runs: Sequence[TracedRun], warm_up: int) -> list[TracedRun]:
    """Drop the first calls on every device, but not the last one."""
    by_device: dict[object, list[TracedRun]] = {}
    for run in runs:
        by_device.setdefault(run.device, []).append(run)
    kept = [run for group in by_device.values() for run in group[min(warm_up, len(group) - 1) :]]
    return sorted(kept, key=lambda run: run.start_ps)
