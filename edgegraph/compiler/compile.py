"""From a workload to its Program: trace, lower, compile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

import jax

from edgegraph import xla
from edgegraph.base.timing import Progress
from edgegraph.compiler.ahead import TIMEOUT_S, Options, compile_ahead, refusal
from edgegraph.compiler.objects import opened
from edgegraph.compiler.program import (
    Program,
    by_position,
    memory_use,
    named_arguments,
    with_parameters,
)
from edgegraph.compiler.scopes import module_scopes
from edgegraph.compiler.sharding import DeviceMesh, Partition, sharded
from edgegraph.compiler.targets import Target, parse_target
from edgegraph.errors import (
    USER_ERRORS,
    CompileError,
    EdgeGraphError,
    InputError,
    first_line,
    positive_integer,
)
from edgegraph.hlo.fuse import fused
from edgegraph.hlo.parameters import parameter_tree
from edgegraph.workload.calls import Call
from edgegraph.workload.workload import Workload

STAGES = ("optimized", "lowered")

FORECAST = (
    "no compiler for this device is here: its kernels are those of a plain model of fusion (each"
    " product or reduction with what follows it element by element; docs/devices.md), not a"
    " compiler's; the memory is what this host's compiler takes"
)
"""What is said of a device that has no compiler."""


def compile(
    subject: Workload | Callable[..., Any] | Any,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    batch: int | None = None,
    target: str = "cpu",
    stage: str = "optimized",
    options: Options | None = None,
    mesh: DeviceMesh | None = None,
    partition: Partition | None = None,
    name: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Program:
    """Compile a workload or a function with XLA.

    Args:
        subject: A Workload; a function with its arguments; one that is jitted already, whose
            donation, static arguments, shardings and options are kept; or what that was traced or
            lowered to, or exported as.
        *args: Arguments of a function: trees of arrays (with which it is measured), numbers, or
            `jax.ShapeDtypeStruct`s (filled with random values to measure). What JAX takes no
            values of, such as functions within a model, is bound as it is.
        kwargs: Its keyword arguments.
        batch: Batch size of a Workload; 1 where None.
        target: What to compile for: ``cpu``, this machine; a device that is not here, ahead of
            time and in a subprocess, such as ``tpu:v5e``, ``tpu:v5e:2x2`` or
            ``gpu:h100``; ``device:rpi5``, a device of the catalogue without a compiler here, for
            which kernels are those of a model of fusion; ``device:board.json``, one that was
            calibrated itself.
        stage: ``optimized``, or ``lowered`` for the HLO before optimisation, for which nothing
            is compiled.
        options: XLA compiler options, by name.
        mesh: Spreads a Workload over several chips of a target that is not here; one chip where
            None. The program is then what every one of them runs, on its part of the batch.
        partition: With `mesh`, from an array's path among the arguments and its shape, how it is
            split over ``data`` and ``tensor``; where it returns None, or is None, the batch is
            split and kernels are as `edgegraph.compiler.sharding` says.
        name: Name for tables and files; the workload's or the function's own where None.
        timeout_s: Of a compiler in a subprocess.
        progress: Called with a message where that takes long.

    Returns:
        The Program. Its `compile_s` is the time of a real compilation only as long as JAX's
        persistent compilation cache is off, or did not know the program.

    Raises:
        InputError: An argument cannot be used.
        CompileError: The function does not trace, or XLA does not compile it.

    Example:
        >>> import jax
        >>> x = jax.ShapeDtypeStruct((32, 784), "float32")
        >>> w = jax.ShapeDtypeStruct((784, 10), "float32")
        >>> program = compile(lambda x, w: x @ w, x, w, name="dense", stage="lowered")
        >>> program.xla_cost["flops"]
        501760.0
    """
    chosen = parse_target(target)
    _check(stage, options)
    if not isinstance(subject, Workload):
        _check_function(subject, batch, mesh)
        subject, args = opened(subject, args, kwargs), ()
    if isinstance(subject, Program):
        compiled = _as_compiled(subject, chosen, stage, options)
        return replace(compiled, name=name or compiled.name)
    at = 1 if batch is None else positive_integer(batch, "batch")
    if not subject.batched and at != 1:
        raise InputError(f"{subject.name} has fixed shapes; leave batch={batch} out")
    call = _workload_call(subject, args, at, chosen, mesh, partition)
    job = _Job(
        call=call,
        name=name or subject.name,
        batch=at if subject.batched else None,
        target=chosen,
        stage=stage,
        options=_options(subject, options, chosen, stage),
        chips=1 if mesh is None else mesh.chips,
        timeout_s=timeout_s,
        progress=progress,
    )
    with jax.default_device(jax.devices("cpu")[0]):
        compiled = _compile(job)
        return replace(compiled, notes=(*subject.notes, *compiled.notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What to compile and how."""

    call: Call
    name: str
    batch: int | None
    target: Target
    stage: str
    options: dict[str, str | int | float | bool]
    chips: int
    timeout_s: float
    progress: Progress | None

    @property
    def label(self) -> str:
        return self.name if self.batch is None else f"{self.name} at batch {self.batch}"


def _check(stage: str, options: Options | None) -> None:
    if stage not in STAGES:
        raise InputError(f"stage {stage!r} is unknown; expected {' or '.join(map(repr, STAGES))}")
    if options and stage == "lowered":
        raise InputError(
            f"the compiler options {', '.join(options)} have no effect at stage 'lowered', where"
            " nothing is compiled; leave them out"
        )


def _options(
    subject: Any, asked: Options | None, target: Target, stage: str
) -> dict[str, str | int | float | bool]:
    """Return the options that were asked for, over those of a workload, which are this host's."""
    here = isinstance(subject, Workload) and not target.ahead and stage == "optimized"
    return {**(subject.compiler_options if here else {}), **(asked or {})}


def _workload_call(
    workload: Workload,
    args: tuple[Any, ...],
    batch: int,
    target: Target,
    mesh: DeviceMesh | None,
    partition: Partition | None,
) -> Call:
    if args:
        raise InputError(
            f"the workload {workload.name!r} makes its own arguments; give batch=... instead of"
            f" the {len(args)} that were handed in"
        )
    if mesh is None:
        return workload.call(batch)
    if not target.ahead:
        raise InputError(
            f"a mesh of {mesh.chips} chips is compiled for chips that are not here, such as"
            f" tpu:v5e:2x2 or gpu:h100:8, and not for {target.name!r}; eg.scaling_study runs one on"
            " this host"
        )
    return sharded(workload, batch, mesh, partition)


def _check_function(function: Any, batch: int | None, mesh: DeviceMesh | None) -> None:
    if isinstance(function, jax.export.Exported):
        return
    if mesh is not None:
        raise InputError("a mesh has no effect on a function; give a Workload")
    if batch is not None:
        raise InputError(
            f"batch={batch} has no effect on a function, whose arguments have their shapes; use"
            " Workload.from_function for one that runs at any batch size"
        )


def _as_compiled(program: Program, target: Target, stage: str, options: Options | None) -> Program:
    """Refuse what a program that is compiled already cannot be made to."""
    if options or stage != program.stage or target.name not in ("cpu", program.target):
        raise InputError(
            f"{program.name!r} is compiled already, for {program.target!r}; give the function, or"
            " what it was traced to, for another target, stage or options"
        )
    return program


def _compile(job: _Job) -> Program:
    start = time.perf_counter()
    traced = _trace(job.call, job.label)
    _check_params(job.call, traced)
    lowered = _lower(traced, job)
    job = replace(job, options={**xla.own_options(lowered), **job.options})
    program = Program(
        name=job.name,
        batch=job.batch,
        target=job.target.name,
        stage=job.stage,
        options=job.options,
        serialized=b"",
        lower_s=time.perf_counter() - start,
        jaxpr=getattr(traced, "jaxpr", None),
        lowered=lowered,
        concrete=job.call.concrete,
        device=job.target.device,
        original=None if job.call.original is None else partial(_original, job),
        fingerprint=sha256(lowered.as_text().encode()).hexdigest(),
        arguments=job.call.arguments,
    )
    if job.stage == "lowered":
        program = replace(program, serialized=xla.lowered_module(lowered))
    else:
        program = (_compile_ahead if job.target.ahead else _compile_here)(program, job)
    named = named_arguments(program.serialized, program.arguments)
    params, program = job.call.params, replace(program, serialized=named)
    return program if params is None else with_parameters(program, params)


def _check_params(call: Call, traced: Any) -> None:
    """Refuse before anything is compiled what names no argument, as far as these are known."""
    jaxpr = getattr(traced, "jaxpr", None)
    if call.params is not None and jaxpr is not None:
        parameter_tree(jaxpr.jaxpr.debug_info.arg_names, call.params)


def _original(job: _Job) -> bytes:
    """Lower the model's own function."""
    assert job.call.original is not None
    call = replace(job.call, function=job.call.original)
    return xla.lowered_module(_lower(_trace(call, job.label), job))


def _compile_ahead(program: Program, job: _Job) -> Program:
    compiled = compile_ahead(
        xla.stablehlo(program.lowered),
        job.target,
        job.options,
        chips=job.chips,
        label=job.label,
        timeout_s=job.timeout_s,
        progress=job.progress,
    )
    return replace(
        program,
        serialized=compiled.serialized,
        memory=compiled.memory,
        compile_s=compiled.compile_s,
        compiler_cost=compiled.cost,
        compiler_memory_bytes=compiled.compiler_memory_bytes,
    )


def _compile_here(program: Program, job: _Job) -> Program:
    start = time.perf_counter()
    try:
        with xla.compiling_anew():
            executable = program.lowered.compile(compiler_options=job.options or None)
    except Exception as error:  # XLA's errors have no common public type
        message = first_line(error).removeprefix("INVALID_ARGUMENT: ")
        raise refusal(message, job.options, job.label) from error
    statistics = executable.memory_analysis()
    return replace(
        program,
        serialized=(
            xla.compiled_module(executable)
            if job.target.device is None
            else fused(xla.lowered_module(program.lowered))
        ),
        notes=program.notes if job.target.device is None else (*program.notes, FORECAST),
        memory=None if statistics is None else memory_use(statistics),
        compile_s=time.perf_counter() - start,
        # What runs here says nothing of the time that another device takes.
        executable=(
            by_position(executable, job.call.keywords) if job.target.device is None else None
        ),
    )


def _trace(call: Call, label: str) -> jax.stages.Traced | jax.stages.Lowered:
    """Trace with module names; if these stand in the model's way, with fewer of them."""
    trace: Callable[[], jax.stages.Traced | jax.stages.Lowered] = call.stage or (
        lambda: jax.jit(call.function, donate_argnums=call.donate, keep_unused=True).trace(
            *call.abstract
        )
    )
    try:
        with module_scopes():
            return trace()
    except USER_ERRORS as error:
        refusal = error
    try:
        with module_scopes(carry=False):
            return trace()
    except USER_ERRORS:
        # The names were not the reason. What a failed trace leaves behind in the user's modules
        # may have made for another error now, so the first one counts.
        if isinstance(refusal, EdgeGraphError):
            raise refusal from refusal.__cause__
        raise CompileError(f"{label} does not trace: {first_line(refusal)}") from refusal


def _lower(traced: jax.stages.Traced | jax.stages.Lowered, job: _Job) -> jax.stages.Lowered:
    if isinstance(traced, jax.stages.Lowered):
        if job.target.ahead:
            raise InputError(
                f"{job.label} is lowered for this machine already; give the function, or what it"
                f" was traced to, for {job.target.name}"
            )
        return traced
    platforms = (job.target.platform,) if job.target.ahead else None
    try:
        lowered: jax.stages.Lowered = traced.lower(lowering_platforms=platforms)
    except USER_ERRORS as error:  # lowering rules raise what they like
        raise CompileError(f"{job.label} cannot be lowered for XLA: {first_line(error)}") from error
    return lowered


def workload_fingerprint(workload: Workload, *, batch: int | None, target: str = "cpu") -> str:
    """Return a digest of the StableHLO that a workload lowers to; nothing is compiled.

    Names of layers and source positions do not count; shapes, dtypes and operations do. Another
    version of jax may lower the same workload to something else.
    """
    found = compile(workload, batch=batch, target=target, stage="lowered").fingerprint
    assert found is not None  # it was lowered here
    return found
