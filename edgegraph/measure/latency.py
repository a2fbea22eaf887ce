"""Blocking latency of one call, with warm or cold caches: here, apart, or over many devices.

JAX makes several CPU devices of one host only where it is told to before it starts, so a program
over devices runs in a fresh process. It goes there as StableHLO, the values are made there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph import xla
from edgegraph.base.timing import Clock, Progress, monotonic_clock, warm_malloc
from edgegraph.compiler.program import Program, memory_use
from edgegraph.compiler.sharding import AUTOMATIC, DATA, TENSOR, DeviceMesh, Partition, sharded
from edgegraph.device import host
from edgegraph.errors import (
    USER_ERRORS,
    CompileError,
    EdgeGraphError,
    InputError,
    UnsupportedVersionError,
    first_line,
)
from edgegraph.measure.archive import program_archive, run_in_subprocess, time_limit_s
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds, summarise
from edgegraph.results.timing import COLD, WARM, Latency
from edgegraph.workload import Workload
from edgegraph.workload.values import random_values


class ExecutableCall:
    """One call of an executable that blocks until the whole output tree is there.

    An executable may consume (donate) arguments. Each of those is then replaced after the call, by
    `after`: by the result that took over its buffer, or by a fresh copy where no result did.
    """

    def __init__(self, executable: Any, arguments: Sequence[Any]) -> None:
        warm_malloc()
        self._executable = executable
        self.arguments = tuple(arguments)
        self.after: Callable[[object], None] | None = None
        donated = [info.donated for info in jax.tree.leaves(executable.args_info[0])]
        if any(donated):
            self._donated = [position for position, gone in enumerate(donated) if gone]
            self._structure = jax.tree.structure(self.arguments)
            leaves = jax.tree.leaves(self.arguments)
            self._spare = {position: leaves[position] for position in self._donated}
            self._aliased_results = _aliased_results(executable, self._donated)
            self._hand_on(None)
            jax.block_until_ready(self.arguments)
            self.after = self._feed_back

    def __call__(self) -> object:
        """Call it once and wait."""
        return jax.block_until_ready(self._executable(*self.arguments))

    def enqueue(self) -> Any:
        """Call it without waiting; return the results that the next call does not consume."""
        result = self._executable(*self.arguments)
        if self.after is None:
            return result
        self._hand_on(result)
        taken = self._aliased_results.values()
        return [leaf for at, leaf in enumerate(jax.tree.leaves(result)) if at not in taken]

    def _feed_back(self, result: object) -> None:
        self._hand_on(result)
        jax.block_until_ready(self.arguments)

    def _hand_on(self, result: object) -> None:
        """Replace what was consumed, by results of the call or, where there are none, by copies."""
        results, leaves = jax.tree.leaves(result), jax.tree.leaves(self.arguments)
        for position in self._donated:
            taken = self._aliased_results.get(position) if results else None
            fresh = jnp.copy(self._spare[position]) if taken is None else results[taken]
            leaves[position] = fresh
        self.arguments = jax.tree.unflatten(self._structure, leaves)


def _aliased_results(executable: Any, donated: Sequence[int]) -> dict[int, int]:
    """Pair every donated argument with the first result of its type that is still free."""
    arguments = jax.tree.leaves(executable.in_avals[0])
    results = [(out.shape, out.dtype) for out in jax.tree.leaves(executable.out_info)]
    pairs: dict[int, int] = {}
    for position in donated:
        wanted = (arguments[position].shape, arguments[position].dtype)
        for index, result in enumerate(results):
            if result == wanted and index not in pairs.values():
                pairs[position] = index
                break
    return pairs


def program_arguments(program: Program) -> tuple[Any, ...]:
    """Return a program's arguments, the same every time, on the device."""
    if program.executable is None or program.concrete is None:
        raise InputError(
            f"{program.name!r} (target {program.target!r}, stage {program.stage!r}) has nothing"
            " that could be run here and timed; compile a workload for target 'cpu'"
        )
    arguments: tuple[Any, ...] = jax.block_until_ready(jax.device_put(tuple(program.concrete())))
    return arguments


def null_call(arguments: Sequence[Any], results: Any) -> Callable[[], object]:
    """Return a call with the signature of another that computes nothing: the dispatch floor.

    Python's way into the executable costs time by the number and nesting of arguments and
    results, not by their size, so the null executable takes the same arguments and returns a tree
    of scalars of the same structure.
    """

    def null(*_: Any) -> Any:
        return jax.tree.map(lambda _: jnp.zeros((), jnp.float32), results)

    executable = jax.jit(null, keep_unused=True).lower(*arguments).compile()
    return ExecutableCall(executable, arguments)


def prefer_synchronous_dispatch() -> None:
    """Choose synchronous dispatch if it is not too late; to be called before JAX is used."""
    with suppress(EdgeGraphError):
        xla.set_synchronous_dispatch()


def use_synchronous_dispatch() -> bool:
    """Make CPU calls run in the calling thread where that can still be chosen; return whether.

    Where JAX is up already another thread wakes up in every time, as `Latency.synchronous` says.
    """
    try:
        xla.set_synchronous_dispatch()
    except UnsupportedVersionError:
        raise
    except EdgeGraphError:
        return False
    return True


TIMES_LAST_CACHE = 4
"""At four times the last cache's size, replacement keeps little of what was there."""


def cold_bytes() -> int:
    """Return how much has to be touched so that nothing else is left in the caches."""
    caches = host.caches(host.usable_cores())
    if not caches:
        raise InputError(
            "this system does not report how large its caches are, so they cannot be emptied;"
            " measure with warm caches"
        )
    return TIMES_LAST_CACHE * caches[-1].size_bytes


def cache_emptier() -> Callable[[], None]:
    """Return a call that reads and writes more data than the caches hold, on all threads of XLA."""
    count = cold_bytes() // 4
    struct = jax.ShapeDtypeStruct((count,), jnp.float32)
    with jax.default_device(jax.devices("cpu")[0]):
        touch = jax.jit(lambda held: held + 1.0, donate_argnums=0).lower(struct).compile()
        held = jnp.zeros((count,), jnp.float32)

    def empty() -> None:
        nonlocal held
        held = jax.block_until_ready(touch(held))

    return empty


def measure_program(
    program: Program,
    *,
    cache: str = WARM,
    settings: MeasurementSettings | None = None,
    clock: Clock = monotonic_clock,
    progress: Progress | None = None,
) -> Latency:
    """Time one blocking call of a program, with its arguments on the device.

    The dispatch floor is that of an executable with the same arguments and results that computes
    nothing. ``cold`` touches four times the last cache's size of other data before every call.
    """
    if cache not in (WARM, COLD):
        raise InputError(f"cache {cache!r} is unknown; expected {WARM!r} or {COLD!r}")
    settings = settings or MeasurementSettings()
    synchronous = use_synchronous_dispatch()
    arguments = program_arguments(program)
    before = cache_emptier() if cache == COLD else None
    call = ExecutableCall(program.executable, arguments)
    main = Series(call=call, before=before, after=call.after, clock=clock)
    nothing = null_call(arguments, program.executable.out_info)
    null = Series(call=nothing, before=before, clock=clock)
    sampling = sample_in_rounds([main, null], settings, clock, progress=progress)
    return summarise(main, sampling, floor=null, synchronous=synchronous, cache=cache)


def measure_apart(
    program: Program,
    *,
    cores: int | None = None,
    cache: str = WARM,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> Latency:
    """Time one blocking call of a program in a process of its own, with synchronous dispatch.

    XLA compiles for the number of cores, so for fewer than all the program is compiled again in
    that process: it is timed as it would be on such a machine.
    """
    settings = settings or MeasurementSettings()
    with program_archive([program], cores=cores) as archive:
        return run_in_subprocess(
            partial(_time_call, cache=cache, settings=settings),
            archive,
            label=f"{program.name}, {cache} caches",
            timeout_s=time_limit_s(archive, settings.limit_s),
            progress=progress,
        )


def _time_call(
    programs: Sequence[Program], report: Progress, *, cache: str, settings: MeasurementSettings
) -> Latency:
    return measure_program(programs[0], cache=cache, settings=settings, progress=report)


_COMPILING_S = 600.0

Options = Mapping[str, str | int | float | bool]


def measure_on_host(
    workload: Workload,
    batch: int,
    mesh: DeviceMesh,
    *,
    partition: Partition | None = None,
    options: Options | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> tuple[Program, Latency]:
    """Compile a workload over host devices, and time one blocking call; `batch` is over all.

    The devices share the host's cores: more of them than cores take turns. The program returned is
    what every device runs; it cannot be run in this process.
    """
    settings = settings or MeasurementSettings()
    program = Program(
        name=workload.name,
        batch=batch,
        target="cpu",
        stage="optimized",
        options=dict(options or {}),
        serialized=b"",
    )
    exported = _export(workload, batch, mesh, partition)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={mesh.chips}"
    with program_archive([]) as archive:
        return run_in_subprocess(
            partial(
                _compile_and_time, program=program, exported=exported, mesh=mesh, settings=settings
            ),
            archive,
            label=f"{workload.name} over {mesh}",
            timeout_s=_COMPILING_S + settings.limit_s,
            environment={"XLA_FLAGS": flags.strip()},
            progress=progress,
        )


def _export(workload: Workload, batch: int, mesh: DeviceMesh, partition: Partition | None) -> bytes:
    call = sharded(workload, batch, mesh, partition)
    leaves, structure = jax.tree.flatten(call.abstract)

    def flat(*values: Any) -> list[Any]:
        return jax.tree.leaves(call.function(*jax.tree.unflatten(structure, values)))

    try:
        exported = jax.export.export(jax.jit(flat), platforms=["cpu"])(*leaves)
    except USER_ERRORS as error:
        raise CompileError(
            f"{workload.name} cannot be lowered over {mesh}: {first_line(error)}"
        ) from error
    return bytes(exported.serialize())


def _compile_and_time(
    _: Sequence[Program],
    report: Progress,
    *,
    program: Program,
    exported: bytes,
    mesh: DeviceMesh,
    settings: MeasurementSettings,
) -> tuple[Program, Latency]:
    """Compile and run in a fresh process that has the devices."""
    function = jax.export.deserialize(bytearray(exported))
    devices = np.array(jax.devices("cpu")[: mesh.chips]).reshape(mesh.data, mesh.tensor)
    shardings = function.in_shardings_jax(
        jax.sharding.Mesh(devices, (DATA, TENSOR), axis_types=AUTOMATIC)
    )
    values = random_values(
        [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in function.in_avals], seed=0
    )
    arguments = tuple(
        jax.device_put(value, sh) for value, sh in zip(values, shardings, strict=True)
    )
    start = time.perf_counter()
    lowered = jax.jit(function.call).lower(*arguments)
    compiler_options: Any = program.options or None
    with xla.compiling_anew():
        executable = lowered.compile(compiler_options=compiler_options)
    compile_s = time.perf_counter() - start
    running = replace(program, executable=executable, concrete=lambda: arguments)
    latency = measure_program(running, settings=settings, progress=report)
    compiled = replace(
        program,
        serialized=xla.compiled_module(executable),
        memory=memory_use(executable.memory_analysis()),
        compile_s=compile_s,
    )
    return compiled, latency
