"""From a workload to its Analysis, from a profile taken elsewhere to an OpTrace."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import jax

from edgegraph.analysis.attribution import attribute
from edgegraph.analysis.findings import find
from edgegraph.analysis.passes import COMBINE, COUNT, MEASURE, Draft, Pass, summarise
from edgegraph.analysis.records import op_records
from edgegraph.base.signatures import name_keywords
from edgegraph.base.timing import Progress, collector_paused, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program, with_parameters
from edgegraph.cost.custom_calls.kernels import calls_python
from edgegraph.cost.price import price_nodes
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.catalogue import find_board, find_device
from edgegraph.device.device import Device
from edgegraph.doors import registry as doors
from edgegraph.errors import FormatError, InputError
from edgegraph.hlo.graph import flatten
from edgegraph.measure.isolated import Depth, check_depth
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.trace import Traced, join_trace
from edgegraph.results.analysis import Analysis
from edgegraph.results.kinds import kind_of
from edgegraph.results.op_trace import OpTrace
from edgegraph.workload import Workload
from edgegraph.workload.workload import with_params


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What to measure of a program, and how carefully.

    Attributes:
        latency: Measure the latency of the whole and of every layer alone.
        depth: How finely to time layers: None for every scope's own operations alone, 1 for the
            model's children (its blocks) in one piece each, 2 for theirs; a list for several
            cuts, or ``all``.
        throughput: Run it pipelined: calls per second by the number of calls in flight.
        cold: Measure the latency with cold caches too.
        cores: Measure the latency on this many cores too, compiled for them.
        trace: Measure every op inside the running program, by the profiler. None does so where
            `latency` is set and the trace is of sensible size. A trace that `edgegraph.read_trace`
            returned is used as it is, also for a program that cannot run here.
        trace_dir: Log folder to keep the profile in, for XProf and TensorBoard.
        settings: How long and how carefully to measure; None for the defaults.

    Raises:
        InputError: Layers cannot be cut at `depth`, or `trace_dir` is given and no trace is taken.

    Example:
        >>> Measurement(latency=False, cold=True).runs, Measurement(latency=False).runs
        (True, False)
    """

    latency: bool = True
    depth: Depth = None
    throughput: bool = False
    cold: bool = False
    cores: int | None = None
    trace: bool | OpTrace | None = None
    trace_dir: str | Path | None = None
    settings: MeasurementSettings | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured before anything is compiled."""
        if self.latency:
            check_depth(self.depth)
        if self.trace_dir is not None and not self.takes_trace:
            raise InputError(
                f"trace_dir={str(self.trace_dir)!r} keeps a trace, but none is taken here"
            )

    @property
    def runs(self) -> bool:
        """Whether the program has to run."""
        conditions = self.cold or self.cores is not None
        return self.latency or self.throughput or conditions or self.trace is True

    @property
    def takes_trace(self) -> bool:
        """Whether to run the program under the profiler."""
        return self.trace is True or (self.trace is None and self.latency)


class MeasurementKeywords(TypedDict, total=False):
    """The attributes of a `Measurement` as keywords of `analyze`."""

    depth: Depth
    throughput: bool
    cold: bool
    cores: int | None
    trace: bool | OpTrace | None
    trace_dir: str | Path | None
    settings: MeasurementSettings | None


@name_keywords(
    each for name, each in inspect.signature(Measurement).parameters.items() if name != "latency"
)
def analyze(
    subject: Workload | Program | Callable[..., Any] | str | Path | bytes | Any,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    batch: int | None = None,
    target: str = "cpu",
    stage: str = "optimized",
    measure: bool | Measurement = False,
    device: Device | str | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
    name: str | None = None,
    module: str | None = None,
    trips: Mapping[str, int] | None = None,
    params: str | int | None = None,
    progress: Progress | None = None,
    counted: Callable[[Analysis], None] | None = None,
    **measuring: Unpack[MeasurementKeywords],
) -> Analysis:
    """Find out what a program costs, what bounds it, and how long it takes.

    Args:
        subject: A Workload, a compiled Program, a function with `args`, jitted or not, or what
            else `edgegraph.open` takes.
        args: Arguments of a function, as `edgegraph.compile` takes them: arrays or
            `jax.ShapeDtypeStruct`s.
        kwargs: Its keyword arguments.
        batch: Batch size of a Workload; 1 where None.
        target: What to compile for, as `edgegraph.compile` takes it.
        stage: ``optimized``, or ``lowered`` for the HLO before optimisation: counts only,
            nothing is compiled or run.
        measure: Run it: latency of the whole and of every layer alone. A `Measurement` says what
            else to measure, and how carefully.
        device: Whose roofs to use, or its name in the catalogue (``h100-sxm``). Where None: the
            target's; for this machine its calibration, none if it was never calibrated; none for
            the file of a TPU or GPU.
        options: XLA compiler options.
        name: Name for tables and files; the workload's own where None.
        module: Of a file or folder with several modules, the one to take.
        trips: How often loops run whose length depends on data, by their names in
            `Analysis.unpriced`: ``{"while.8": 16}``. Without it they count once.
        params: The argument that is the tree of the model's parameters, by name or position, or a
            path in one (``state.params[0]``); found where None, and where that cannot be,
            ``totals.params`` is None.
        progress: Called with a message and a fraction.
        counted: Called with the analysis of what is known before anything runs: counts, roofs,
            estimates. Where nothing is measured it is not called.
        **measuring: The attributes of a `Measurement`, in place of one.

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
    found = _opened(subject, report, params, module=module, args=args, kwargs=kwargs)
    if isinstance(found, Program):
        _check_compiled(found, batch=batch, target=target, stage=stage, options=options or {})
        program = found
    else:
        report(f"{name or found.name}: compiling", None)
        program = compile_workload(found, batch=batch, target=target, stage=stage, options=options)
    program = program if name is None else replace(program, name=name)
    draft = replace(_draft(program, measurement, device, report), trips=trips or {})
    report(f"{program.name}: pricing ops", None)
    # All that is made here stays; the collector would walk it between the passes.
    with collector_paused():
        draft = _run(COUNT, draft)
        if not measurement.runs:
            return _combined(_measured(draft))
    if counted is not None:
        counted(_combined(draft))
    return _combined(_measured(draft))


def _combined(draft: Draft) -> Analysis:
    """Return what the draft says by now, with findings."""
    with collector_paused():
        analysis = summarise(_run(COMBINE, draft))
        program = draft.program
        found = find(analysis, program.module, program.jaxpr, draft.arguments.held)
        return replace(analysis, findings=found)


CALLBACK_NOTE = (
    "a callback into Python (jax.debug.print, jax.pure_callback) runs on the host in every call,"
    " and is part of every time; what it prints while it is timed is not shown"
)


def _measured(draft: Draft) -> Draft:
    """Run the program as was asked; what it prints in thousands of calls goes nowhere."""
    if not draft.measurement.runs or not calls_python(draft.program.module):
        return _run(MEASURE, draft)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        draft = _run(MEASURE, draft)
        jax.effects_barrier()  # callbacks may print after their call is done
    return replace(draft, notes=(*draft.notes, CALLBACK_NOTE))


def _check_compiled(program: Program, **asked: Any) -> None:
    """Refuse what would have to be compiled anew; the defaults of `analyze` ask for nothing."""
    for name, value in asked.items():
        if value not in (None, "cpu", "optimized", {}, getattr(program, name)):
            raise InputError(
                f"{name}={value!r} has no effect on {program.name!r}, which is compiled already;"
                " leave it out, or give the function"
            )


def _opened(
    subject: Any, report: Progress, params: str | int | None, **choices: Any
) -> Workload | Program:
    """Open what is given as an object, a file, text or name; say which argument `params` is.

    Raises:
        InputError: It cannot be opened, or is a result already.
    """
    if isinstance(subject, Workload | Program):
        if any(choices[name] is not None for name in ("args", "kwargs")):
            raise InputError(f"{subject.name!r} makes its own arguments; leave args and kwargs out")
        return _with_params(subject, params, None)
    report(f"opening {doors.Given(subject).name}", None)
    found = doors.open(subject, **choices)
    if not isinstance(found, Workload | Program):
        raise InputError(
            f"{doors.Given(subject).name} is a saved {kind_of(found).word} already; edgegraph.load"
            " reads it"
        )
    called = any(choices[name] is not None for name in ("args", "kwargs"))
    return _with_params(found, params, subject if called else None)


def _with_params(
    found: Workload | Program, params: str | int | None, function: Any
) -> Workload | Program:
    if params is None:
        return found
    if isinstance(found, Program):
        return with_parameters(found, params)
    return with_params(found, params, function)


def _draft(
    program: Program, measurement: Measurement, device: Device | str | None, report: Progress
) -> Draft:
    """Return the draft that the passes start from."""
    roofs = find_device(device) if isinstance(device, str) else device
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
        device=roofs or _own_device(program),
        measurement=measurement,
        report=report,
        executions=None if given is None else given.executions,
        op_trace=given,
    )


def _own_device(program: Program) -> Device | None:
    """Return the device that it was compiled for; this machine where nothing says otherwise."""
    if program.device is not None:
        here = program.target.startswith("device:")
        return find_board(program.device) if here else find_device(program.device)
    return None if program.elsewhere else load_calibration()


def _run(passes: Sequence[Pass], draft: Draft) -> Draft:
    for each in passes:
        draft = each(draft)
    return draft


_MOST_BYTES = 2 << 30
"""More than this, protobuf cannot hold."""


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
        >>> from edgegraph.compiler.program import Program
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
        traced = join_trace(path.read_bytes(), program, flatten(program.module), warm_up)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    return priced(program, traced)


def priced(program: Program, traced: Traced) -> OpTrace:
    """Return a trace with the costs and places of its ops."""
    costs = price_nodes(program.module, traced.nodes, traced.executions)
    roofs = find_device(program.device) if program.device else load_calibration()
    return traced.summary(op_records(traced.nodes, costs, attribute(traced.nodes), roofs))


def requested_measurement(
    measure: bool | Measurement, keywords: MeasurementKeywords
) -> Measurement:
    """Return what `analyze` is asked to measure, by one object or by keywords."""
    unknown = sorted(keywords.keys() - MeasurementKeywords.__optional_keys__)
    if unknown:
        raise TypeError(f"analyze() got an unexpected keyword argument {unknown[0]!r}")
    if not isinstance(measure, Measurement):
        return Measurement(latency=measure, **keywords)
    if keywords:
        raise InputError(
            f"analyze() got a Measurement and {', '.join(keywords)}; set those on the Measurement"
        )
    return measure
