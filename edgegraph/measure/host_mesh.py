"""Running a partitioned program over devices that are made of this host's cores.

JAX makes several CPU devices of one host only where it is told to before it starts, so this runs
in a fresh process. The program goes there as StableHLO, the values are made there.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Mapping
from typing import Any

import jax
import msgspec
import numpy as np

from edgegraph import xla
from edgegraph.child import Progress, run_child
from edgegraph.compiler.program import Program
from edgegraph.compiler.sharding import AUTOMATIC, DATA, TENSOR, Mesh, Partition, sharded
from edgegraph.errors import CompileError
from edgegraph.measure.latency import Settings, measure_program
from edgegraph.measure.process import CHILD_ENVIRONMENT
from edgegraph.results.analysis import MemoryUse
from edgegraph.results.latency import Latency
from edgegraph.workload import Workload
from edgegraph.workload.refusals import first_line
from edgegraph.workload.values import random_values

_COMPILING_S = 600.0

Options = Mapping[str, str | int | float | bool]


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    exported: bytes
    data: int
    tensor: int
    options: dict[str, str | int | float | bool]
    settings: Settings


class _Done(msgspec.Struct, frozen=True, kw_only=True):
    serialized: bytes
    memory: MemoryUse
    compile_s: float
    latency: Latency


def measure_on_host(
    workload: Workload,
    batch: int,
    mesh: Mesh,
    *,
    partition: Partition | None = None,
    options: Options | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> tuple[Program, Latency]:
    """Compile a workload over host devices, and time one blocking call.

    The devices share the host's cores: more of them than cores take turns.

    Args:
        workload: What to run.
        batch: Over all devices.
        mesh: The devices.
        partition: As `edgegraph.compiler.sharding.sharded` takes it.
        options: XLA compiler options.
        settings: How long and how carefully.
        progress: Called with a message and a fraction.

    Returns:
        What every device runs, as a Program that cannot be run in this process, and the latency.

    Raises:
        InputError: The devices do not divide the batch evenly.
        CompileError: The workload does not trace or compile.
        EdgeGraphError: The process died, or did not end in time.
    """
    settings = settings or Settings()
    task = _Task(
        name=workload.name,
        exported=_export(workload, batch, mesh, partition),
        data=mesh.data,
        tensor=mesh.tensor,
        options=dict(options or {}),
        settings=settings,
    )
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={mesh.chips}"
    answer = run_child(
        f"{__name__}:serve",
        msgspec.msgpack.encode(task),
        timeout_s=_COMPILING_S + settings.limit_s,
        environment={**CHILD_ENVIRONMENT, "XLA_FLAGS": flags.strip()},
        progress=progress,
    )
    done = msgspec.msgpack.decode(answer, type=_Done)
    program = Program(
        name=workload.name,
        batch=batch,
        target="cpu",
        stage="optimized",
        options=task.options,
        serialized=done.serialized,
        memory=done.memory,
        compile_s=done.compile_s,
    )
    return program, done.latency


def _export(workload: Workload, batch: int, mesh: Mesh, partition: Partition | None) -> bytes:
    call = sharded(workload, batch, mesh, partition)
    leaves, structure = jax.tree.flatten(call.abstract)

    def flat(*values: Any) -> list[Any]:
        return jax.tree.leaves(call.function(*jax.tree.unflatten(structure, values)))

    try:
        exported = jax.export.export(jax.jit(flat), platforms=["cpu"])(*leaves)
    except Exception as error:  # the user's code may raise anything
        raise CompileError(
            f"{workload.name} cannot be lowered over {mesh}: {first_line(error)}"
        ) from error
    return bytes(exported.serialize())


def serve(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    """Compile and run: the fresh process's side of `measure_on_host`."""
    task = msgspec.msgpack.decode(bytes(payload), type=_Task)
    xla.set_synchronous_dispatch()
    exported = jax.export.deserialize(bytearray(task.exported))
    devices = np.array(jax.devices("cpu")[: task.data * task.tensor])
    mesh = jax.sharding.Mesh(
        devices.reshape(task.data, task.tensor), (DATA, TENSOR), axis_types=AUTOMATIC
    )
    shardings = exported.in_shardings_jax(mesh)
    values = random_values(
        [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in exported.in_avals], seed=0
    )
    arguments = tuple(
        jax.device_put(value, sh) for value, sh in zip(values, shardings, strict=True)
    )
    start = time.perf_counter()
    lowered = jax.jit(exported.call).lower(*arguments)
    options: dict[str, Any] = dict(task.options)
    executable = lowered.compile(compiler_options=options or None)
    compile_s = time.perf_counter() - start
    program = Program(
        name=task.name,
        batch=None,
        target="cpu",
        stage="optimized",
        serialized=xla.compiled_module(executable),
        executable=executable,
        concrete=lambda: arguments,
    )
    latency = measure_program(program, settings=task.settings, progress=report)
    statistics: Any = executable.memory_analysis()
    return msgspec.msgpack.encode(
        _Done(
            serialized=program.serialized,
            memory=MemoryUse(
                argument_bytes=statistics.argument_size_in_bytes,
                output_bytes=statistics.output_size_in_bytes,
                temp_bytes=statistics.temp_size_in_bytes,
                alias_bytes=statistics.alias_size_in_bytes,
                code_bytes=statistics.generated_code_size_in_bytes,
            ),
            compile_s=compile_s,
            latency=latency,
        )
    )
