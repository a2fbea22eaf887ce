"""Taking and reading op traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgegraph.analysis.attribution import attribute
from edgegraph.analysis.records import op_records
from edgegraph.base.timing import Progress
from edgegraph.compiler.program import Program
from edgegraph.cost.price import price_nodes
from edgegraph.device.calibration.calibrate import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.errors import FormatError, InputError
from edgegraph.hlo.graph import Node, flatten
from edgegraph.measure.latency import ExecutableCall, prefer_synchronous_dispatch, program_arguments
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.trace.runs import TracedRun, count_loops, find_runs
from edgegraph.measure.trace.session import WARM_UP, events_per_call, keep, record
from edgegraph.measure.trace.summary import summarise
from edgegraph.measure.trace.timeline import Timeline, read_timeline
from edgegraph.measure.trace.xplane import read_planes
from edgegraph.results.analysis import OpRecord
from edgegraph.results.op_trace import LoopTrace, OpTrace, executions_of
from edgegraph.results.timing import LayerLatency

_MOST_BYTES = 2 << 30
"""More than this, protobuf cannot hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A trace joined to a program's graph, before its ops are priced.

    Attributes:
        module: Name of the HLO module.
        nodes: Its ops.
        runs: The traced calls without the warm-up.
        timeline: What they were found in.
        loops: How often loops ran.
        warm_up: Calls that were dropped.
        untraced_s: Median of calls without the profiler, or None.
        kept_at: Folder that the trace was kept in, or None.
    """

    module: str
    nodes: Sequence[Node]
    runs: Sequence[TracedRun]
    timeline: Timeline
    loops: tuple[LoopTrace, ...]
    warm_up: int
    untraced_s: float | None = None
    kept_at: str | None = None

    @property
    def executions(self) -> Mapping[tuple[str, str], int]:
        """How often loops ran, as `price_nodes` takes it."""
        return executions_of(self.loops)

    @property
    def counts_unknown_loops(self) -> bool:
        """Whether it says how often a loop ran of which the module does not."""
        return any(loop.trips is None and loop.iterations is not None for loop in self.loops)

    def summary(
        self, records: Sequence[OpRecord], latencies: Sequence[LayerLatency] = ()
    ) -> OpTrace:
        """Return the result, with the ops' costs and places.

        Args:
            records: Of all ops.
            latencies: Measured times of layers compiled alone, to split fusions by.
        """
        return summarise(
            self.runs,
            module=self.module,
            nodes=self.nodes,
            records=records,
            loops=self.loops,
            threads=self.timeline.threads,
            calls_ps=self.timeline.calls_ps,
            latencies=latencies,
            warm_up=self.warm_up,
            untraced_s=self.untraced_s,
            kept_at=self.kept_at,
        )


def trace_program(
    program: Program,
    *,
    warm_up: int = WARM_UP,
    steps: int | None = None,
    trace_dir: str | Path | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> OpTrace:
    """Run a program under the profiler and measure each of its ops.

    Args:
        program: Compiled for this host.
        warm_up: Traced calls that are dropped.
        steps: Traced calls that count; None for as many as fit into a tenth of the settings'
            time limit.
        trace_dir: Log folder to keep the profile in, for XProf and TensorBoard.
        settings: How long to measure.
        progress: Called with a message and a fraction.

    Raises:
        InputError: The program cannot run here, a number makes no sense, the folder cannot be
            written, the trace would be too large, or none of the ops shows in it.
        EdgeGraphError: Another profiler is running.

    Example:
        >>> import jax.numpy as jnp, edgegraph as eg
        >>> program = eg.compile(lambda x: jnp.sort(x @ x), jnp.ones((64, 64)))
        >>> trace = trace_program(program, steps=3)
        >>> len(trace.runs), [timing.executions for timing in trace.timings]
        (3, [1, 1])
    """
    nodes = flatten(program.module)
    traced = take_trace(
        program,
        nodes,
        warm_up=warm_up,
        steps=steps,
        trace_dir=trace_dir,
        settings=settings,
        progress=progress,
    )
    return _priced(program, traced)


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
    """Trace a program and join the trace to its ops; as `trace_program`, before pricing.

    Args:
        program: Compiled for this host.
        nodes: Its ops.
        warm_up: Traced calls that are dropped.
        steps: Traced calls that count, or None.
        trace_dir: Log folder to keep the profile in.
        settings: How long to measure.
        progress: Called with a message and a fraction.

    Raises:
        InputError, EdgeGraphError: As `trace_program`.
    """
    if warm_up < 1 or (steps is not None and steps < 1):
        raise InputError(
            f"warm_up={warm_up}, steps={steps}: both must be positive integers, because the"
            " first traced call is always slow"
        )
    # Ops take what they take in whichever thread; only the calls' own lengths gain by it.
    prefer_synchronous_dispatch()
    if progress is not None:
        progress(f"{program.name}: tracing ops", None)
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
    kept = None if trace_dir is None else keep(recording.xspace, Path(trace_dir), program.name)
    return replace(
        _join(recording.xspace, program, nodes, warm_up),
        untraced_s=recording.untraced_s,
        kept_at=None if kept is None else str(trace_dir),
    )


def read_trace(path: str | Path, program: Program, *, warm_up: int = 1) -> OpTrace:
    """Read a profile that was taken elsewhere, and join it to a program's ops.

    Args:
        path: An ``.xplane.pb`` file of a CPU, GPU or TPU, as jax.profiler and XProf write it.
        program: The program that was running, compiled or read from its HLO dump; ops are found
            by their instruction's name and the name of the module.
        warm_up: Calls at the beginning of the trace that are dropped on every device; at least
            one is kept.

    Returns:
        The trace; hand it to `edgegraph.analyze` with `program` to see it by layer.

    Raises:
        InputError: There is no such file, or nothing of the program shows in it.
        FormatError: It is no profile.

    Example:
        >>> from edgegraph.base.timing import Progress
    from edgegraph.compiler.program import Program
        >>> read_trace("no/such.xplane.pb", Program)
        Traceback (most recent call last):
        edgegraph.errors.InputError: no file at no/such.xplane.pb
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file at {path}")
    if path.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{path} is larger than 2 GiB, more than a profile can be")
    if warm_up < 0:
        raise InputError(f"warm_up must be a non-negative integer, not {warm_up}")
    try:
        traced = _join(path.read_bytes(), program, flatten(program.module), warm_up)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    return _priced(program, traced)


def _join(xspace: bytes, program: Program, nodes: Sequence[Node], warm_up: int) -> Traced:
    """Find the program's ops in a profile."""
    module = program.module
    timeline = read_timeline(read_planes(xspace), module.name)
    runs = find_runs(timeline, nodes)
    if not any(run.ops for run in runs):
        found = ", ".join(sorted(timeline.modules)) or "none"
        raise InputError(
            f"no op of module {module.name!r} shows in the profile; modules in it: {found}"
        )
    kept = _without_warm_up(runs, warm_up)
    return Traced(
        module=module.name,
        nodes=nodes,
        runs=kept,
        timeline=timeline,
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


def _priced(program: Program, traced: Traced) -> OpTrace:
    nodes = traced.nodes
    costs = price_nodes(program.module, nodes, traced.executions)
    roofs = find_device(program.device) if program.device else load_calibration()
    return traced.summary(op_records(nodes, costs, attribute(nodes), roofs))
