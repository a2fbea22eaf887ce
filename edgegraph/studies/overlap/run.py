"""Where overlap helps: arithmetic with data, transfers with compute, host with device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from edgegraph.analysis.analyze import analyze
from edgegraph.base.timing import Progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.hlo.op_name import scope_of
from edgegraph.measure.archive import check_portable
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.throughput import measure_input_overlap, measure_throughput
from edgegraph.results.analysis import Analysis
from edgegraph.results.timing import Latency
from edgegraph.studies.overlap.result import Bracket, OverlapStudy
from edgegraph.workload import Workload


def overlap_study(
    subject: Workload | Program | Callable[..., Any],
    *,
    args: Sequence[Any] | None = None,
    batch: int | None = None,
    prepare: Callable[[int, int], Sequence[Any]] | None = None,
    device: Device | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> OverlapStudy:
    """Find out what overlaps in a program, what could, and what that gains.

    - The bracket: every layer's measured time between max(T_compute, T_memory), perfect overlap,
      and their sum, no overlap.
    - The schedule: asynchronous operations, each hidden, partly hidden or exposed; and the
      critical path under the measured times of the ops against their sum.
    - Dispatch: blocking calls against calls in flight together.
    - Input: the host prepares and sends the next batch while the device works on this one.

    Args:
        subject: A Workload, a Program compiled for this host, or a function with `args`.
        args: Arguments of a function.
        batch: Batch size of a Workload; 1 where None.
        prepare: The host's input pipeline: from the batch size and the number of a step, the
            program's last arguments as NumPy arrays; the workload's own where None.
        device: Whose roofs make the brackets; this machine's calibration where None.
        options: XLA compiler options.
        settings: How long and how carefully, for each of the measurements.
        progress: Called with a message and a fraction.

    Raises:
        InputError: An argument cannot be used, or the program cannot run here.
        CompileError: JAX cannot trace, or XLA cannot compile the function.
    """
    prefer_synchronous_dispatch()
    program = _program(subject, args, batch, options, progress)
    check_portable(program)
    if prepare is None and isinstance(subject, Workload):
        prepare = subject.prepare
    analysis = analyze(program, measure=True, device=device, settings=settings, progress=progress)
    assert analysis.latency is not None
    host_input = None
    if prepare is not None:
        host_input = measure_input_overlap(
            program, partial(prepare, program.batch or 1), settings=settings, progress=progress
        )
    return OverlapStudy(
        workload=analysis.workload,
        batch=analysis.batch,
        target=analysis.target,
        device=None if analysis.device is None else analysis.device.name,
        environment=analysis.environment,
        latency=analysis.latency,
        throughputs=measure_throughput(program, settings=settings, progress=progress),
        whole=_whole(analysis, analysis.latency),
        layers=_layers(analysis),
        schedule=analysis.schedule,
        host_input=host_input,
    )


def _program(
    subject: Workload | Program | Callable[..., Any],
    args: Sequence[Any] | None,
    batch: int | None,
    options: Mapping[str, str | int | float | bool] | None,
    progress: Progress | None,
) -> Program:
    if isinstance(subject, Program):
        return subject
    if not isinstance(subject, Workload) and args is None:
        raise InputError(
            f"cannot study {subject!r:.80} without arguments; pass them as args=(...), or give a"
            " Workload"
        )
    if progress is not None:
        progress(f"{getattr(subject, 'name', 'function')}: compiling", None)
    return compile_workload(subject, *(args or ()), batch=batch, options=options)


def _whole(analysis: Analysis, latency: Latency) -> Bracket | None:
    totals = analysis.totals
    if totals.compute_time_s is None or totals.memory_time_s is None:
        return None
    return Bracket(
        layer=None,
        phase=None,
        time_s=latency.median_s if latency.net_s is None else latency.net_s,
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        noise=latency.uncertainty,
    )


def _layers(analysis: Analysis) -> tuple[Bracket, ...]:
    """Bracket the layers that were timed alone, and that do something."""
    noise = {
        (found.layer, found.phase): found.latency.uncertainty for found in analysis.layer_latencies
    }
    return tuple(
        Bracket(
            layer=row.layer,
            phase=row.phase,
            time_s=row.time_s,
            compute_time_s=row.compute_time_s,
            memory_time_s=row.memory_time_s,
            noise=noise.get((scope_of(row.layer), row.phase), 0.0),
        )
        for row in analysis.layer_records
        if row.leaf
        and row.time_source == "measured"
        and row.time_s
        and row.compute_time_s is not None
        and row.memory_time_s is not None
        and row.compute_time_s + row.memory_time_s > 0
    )
