"""Running a partitioned program over devices that are made of this host's cores.

JAX makes several CPU devices of one host only where it is told to before it starts, so this runs
in a fresh process. The program goes there as StableHLO, the values are made there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from edgegraph import xla
from edgegraph.base.timing import Progress
from edgegraph.compiler.program import Program, memory_use
from edgegraph.compiler.sharding import AUTOMATIC, DATA, TENSOR, DeviceMesh, Partition, sharded
from edgegraph.errors import CompileError, first_line
from edgegraph.measure.archive import program_archive, run_in_subprocess
from edgegraph.measure.latency import measure_program
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.timing import Latency
from edgegraph.workload import Workload
from edgegraph.workload.values import random_values

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
    except Exception as error:  # the user's code may raise anything
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
