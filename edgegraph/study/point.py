"""One point of a sweep: compiled, predicted, and timed while it has its machine alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from edgegraph.analyzer import Progress, analyze
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.device.device import Device
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.process import measure_apart
from edgegraph.measure.throughput import measure_throughput
from edgegraph.results.latency import Latency
from edgegraph.results.sweep import PLAIN_OPTIONS, Sweep, SweepPoint
from edgegraph.results.throughput import Throughput
from edgegraph.study.plan import Cell, Plan
from edgegraph.study.turns import exclusive_lock, shared_lock
from edgegraph.units import si

_in_this_process = threading.Lock()
"""Tracing changes Flax's classes for a while, so a process takes one point after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One point that is to be taken, here or elsewhere."""

    plan: Plan
    cell: Cell

    @property
    def label(self) -> str:
        """Name the point by what it may differ in from others."""
        batch, dtype, options = self.cell
        more = [*([dtype] if dtype else []), *([options] if options != PLAIN_OPTIONS else [])]
        return ", ".join([f"batch {batch}", *more])

    def failed(self, error: Exception) -> Sweep:
        """Return the point with nothing but the reason why it could not be taken."""
        batch, dtype, options = self.cell
        said = _said(error)
        return self.plan.part(SweepPoint(batch=batch, dtype=dtype, options=options, error=said))


def take(task: Task, report: Progress = lambda message, fraction: None) -> Sweep:
    """Measure or analyse one point; whatever goes wrong becomes its error.

    Returns:
        The sweep with that point alone, with the environment in which it was taken.
    """
    with _in_this_process:
        return task.plan.part(_taken(task.plan, task.cell, report))


def _taken(plan: Plan, cell: Cell, report: Progress) -> SweepPoint:
    batch, dtype, options = cell
    point = SweepPoint(batch=batch, dtype=dtype, options=options)
    try:
        with shared_lock(report):
            report("compiling", None)
            program = compile_workload(
                plan.workload(dtype),
                batch=batch,
                target=plan.target,
                options={**plan.options, **plan.option_sets[options]},
            )
            point = _predicted(point, program, plan.roofs)
        if not plan.measure:
            return point
        _check_memory(point.peak_memory_bytes)
        with exclusive_lock(report):
            latency, throughputs = measure_point(program, plan, report)
    except Exception as error:  # making its arguments may raise anything, such as a MemoryError
        return replace(point, error=_said(error))
    return replace(point, latency=latency, throughputs=throughputs)


def _said(error: Exception) -> str:
    if isinstance(error, EdgeGraphError):
        return str(error)
    text = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {text}"


def _predicted(point: SweepPoint, program: Program, device: Device | None) -> SweepPoint:
    analysis = analyze(program, device=device)
    totals, live = analysis.totals, analysis.live_memory
    return replace(
        point,
        flops=totals.flops,
        bytes=totals.bytes_read + totals.bytes_written,
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        bound=totals.bound,
        peak_memory_bytes=None if program.memory is None else program.memory.peak_bytes,
        live_memory_bytes=None if live is None else live.alive_bytes[live.peak_position],
        compile_s=program.compile_s,
        fingerprint=program.fingerprint,
    )


def _check_memory(needed_bytes: int | None) -> None:
    """Refuse what cannot fit, before the system ends a process for it."""
    usable = host.memory_bytes()
    if needed_bytes is not None and needed_bytes > usable:
        raise InputError(
            f"out of memory: it needs {si(needed_bytes, 'B')}, and this process may use"
            f" {si(usable, 'B')}; take a smaller batch"
        )


def measure_point(
    program: Program, plan: Plan, report: Progress
) -> tuple[Latency, tuple[Throughput, ...]]:
    """Time a program in processes of its own: blocking calls, then calls in flight together."""
    latency = measure_apart(program, settings=plan.settings, progress=report)
    throughputs = measure_throughput(
        program, queue_depths=plan.queue_depths, settings=plan.settings, progress=report
    )
    return latency, throughputs
