"""Puts the pieces together: from a workload to its Analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from edgegraph.analysis.findings import find
from edgegraph.analysis.measurement import (
    Measurement,
    MeasurementKeywords,
    requested_measurement,
)
from edgegraph.analysis.passes import COMBINE, COUNT, MEASURE, Draft, Pass, summarise
from edgegraph.base.timing import Progress, collector_paused, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.results.analysis import Analysis
from edgegraph.results.op_trace import OpTrace
from edgegraph.workload import Workload


def analyze(
    subject: Workload | Program | Callable[..., Any],
    *,
    args: Sequence[Any] | None = None,
    batch: int | None = None,
    target: str = "cpu",
    stage: str = "optimized",
    measure: bool | Measurement = False,
    device: Device | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
    name: str | None = None,
    progress: Progress | None = None,
    **measuring: Unpack[MeasurementKeywords],
) -> Analysis:
    """Find out what a program costs, what bounds it, and how long it takes.

    Args:
        subject: A Workload, a compiled Program, or a function with `args`.
        args: Arguments of a function: arrays or `jax.ShapeDtypeStruct`s.
        batch: Batch size of a Workload; 1 where None.
        target: What to compile for, as `edgegraph.compile` takes it.
        stage: ``optimized``, or ``lowered`` for the HLO before optimisation: counts only,
            nothing is compiled or run.
        measure: Run it: latency of the whole and of every layer alone. A `Measurement` says what
            else to measure, and how carefully.
        device: Whose roofs to use; where None, the target's from the catalogue, and for this
            machine its calibration; no roofline if it was never calibrated.
        options: XLA compiler options.
        name: Name for tables and files; the workload's own where None.
        progress: Called with a message and a fraction.
        measuring: The attributes of a `Measurement`, in place of one: ``depth``, ``throughput``,
            ``cold``, ``cores``, ``trace``, ``trace_dir`` and ``settings``.

    Returns:
        An immutable `Analysis`.

    Raises:
        InputError: An argument cannot be used.
        CompileError: JAX cannot trace, or XLA cannot compile the function.

    Example:
        >>> import jax, edgegraph as eg
        >>> x = jax.ShapeDtypeStruct((32, 3136), "float32")
        >>> w = jax.ShapeDtypeStruct((3136, 256), "float32")
        >>> analysis = eg.analyze(lambda x, w: x @ w, args=(x, w), name="dense")
        >>> analysis.totals["macs"], analysis.totals["flops"]
        (25690112, 51380224)
    """
    measurement, report = requested_measurement(measure, measuring), progress or no_progress
    if measurement.latency:
        prefer_synchronous_dispatch()
    if isinstance(subject, Program):
        program = subject
    elif isinstance(subject, Workload) or args is not None:
        report(f"{name or getattr(subject, 'name', 'function')}: compiling", None)
        program = compile_workload(
            subject, *(args or ()), batch=batch, target=target, stage=stage, options=options,
            name=name,
        )  # fmt: skip
    else:
        raise InputError(
            f"cannot analyse {subject!r} without arguments; pass them as args=(...), or give"
            " a Workload"
        )
    draft = _draft(program, measurement, device, report)
    report(f"{program.name}: pricing ops", None)
    # All that is made here stays; the collector would walk it between the passes.
    with collector_paused():
        draft = _run(COUNT, draft)
    draft = _run(MEASURE, draft)
    with collector_paused():
        analysis = summarise(_run(COMBINE, draft))
        return replace(analysis, findings=find(analysis, program.module))


def _draft(
    program: Program, measurement: Measurement, device: Device | None, report: Progress
) -> Draft:
    """Return the draft that the passes start from."""
    if measurement.runs and program.executable is None:
        raise InputError(
            f"{program.name!r} at stage {program.stage!r} for target {program.target!r} has no"
            " executable that could be measured; leave measure=False, or analyse the workload"
        )
    given = measurement.trace if isinstance(measurement.trace, OpTrace) else None
    if given is not None and given.module != program.module.name:
        raise InputError(
            f"the trace is of module {given.module!r}, but {program.name!r} is"
            f" {program.module.name!r}"
        )
    return Draft(
        program=program,
        device=device or (find_device(program.device) if program.device else load_calibration()),
        measurement=measurement,
        report=report,
        executions=None if given is None else given.executions,
        op_trace=given,
    )


def _run(passes: Sequence[Pass], draft: Draft) -> Draft:
    for each in passes:
        draft = each(draft)
    return draft
