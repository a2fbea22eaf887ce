"""A program over devices that are made of this host's cores."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.compiler.sharding import DeviceMesh
from edgegraph.errors import CompileError, InputError
from edgegraph.measure.host_mesh import measure_on_host
from edgegraph.workload import Workload
from tests.measure.apart import FEW


def dense(batch: int) -> tuple[Any, ...]:
    return jnp.ones((batch, 6)), jnp.ones((6, 3))


def test_every_device_works_on_its_part_of_the_batch() -> None:
    workload = Workload.from_function(jnp.matmul, dense, name="dense")
    program, latency = measure_on_host(workload, 8, DeviceMesh(data=2), settings=FEW)
    assert (program.name, program.batch, program.executable) == ("dense", 8, None)
    assert program.module.partition_count == 2
    entry = program.module.computations[program.module.entry]
    shapes = [str(i.shape) for i in entry.instructions if i.opcode == "parameter"]
    assert sorted(shapes) == ["f32[4,6]", "f32[6,3]"]  # half the batch, and all of the kernel
    assert program.compile_s is not None
    assert program.memory is not None
    assert program.memory.argument_bytes == 4 * (4 * 6 + 6 * 3)
    assert latency.samples >= FEW.minimum_samples
    assert latency.synchronous


def test_what_cannot_be_spread_is_refused() -> None:
    workload = Workload.from_function(jnp.matmul, dense, name="dense")
    with pytest.raises(InputError, match="2 chips do not divide the batch of 3 evenly"):
        measure_on_host(workload, 3, DeviceMesh(data=2))

    def broken(x: jax.Array, y: jax.Array) -> jax.Array:
        raise ValueError("no such layer")

    workload = Workload.from_function(broken, dense, name="broken")
    with pytest.raises(CompileError, match="broken cannot be lowered over data 2: no such layer"):
        measure_on_host(workload, 4, DeviceMesh(data=2))
