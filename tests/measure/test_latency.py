"""Latency of programs, in conditions that only a fresh process has, or that have to be made."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.analysis.analyze import analyze
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.sharding import DeviceMesh
from edgegraph.device import host
from edgegraph.errors import CompileError, InputError
from edgegraph.measure import latency as module
from edgegraph.measure.latency import measure_apart, measure_on_host, measure_program
from edgegraph.workload import Workload
from tests import programs
from tests.measure.apart import FEW, eigenvalues, ticking, train_step

MANY = len(host.usable_cores()) > 1


def test_in_a_process_of_its_own() -> None:
    found = measure_apart(eigenvalues(), settings=FEW)
    assert found.synchronous
    assert (found.cache, found.cores) == ("warm", len(host.usable_cores()))
    assert found.samples >= 6
    assert found.dispatch_s is not None


@pytest.mark.skipif(not MANY, reason="there is only one core")
def test_on_one_core_and_with_cold_caches() -> None:
    function, arguments = programs.small_cnn(1)
    program = compile_workload(function, *arguments, name="cnn")
    found = measure_apart(program, cores=1, cache="cold", settings=FEW)
    assert (found.cache, found.cores, found.calls_per_sample) == ("cold", 1, 1)


@pytest.mark.slow
def test_an_analysis_takes_what_it_is_asked_for() -> None:
    function, arguments = programs.small_cnn(1)
    found = analyze(
        function, args=arguments, throughput=True, cold=True, cores=1, settings=FEW, name="cnn"
    )
    assert found.latency is None
    conditions = [(one.cache, one.cores) for one in found.other_latencies]
    assert conditions == [("cold", len(host.usable_cores())), ("warm", 1)]
    assert [one.queue_depth for one in found.throughputs] == sorted(
        {one.queue_depth for one in found.throughputs}
    )
    assert found.throughputs
    with pytest.raises(InputError, match="no executable that could be measured"):
        analyze(function, args=arguments, stage="lowered", throughput=True)


def test_no_more_cores_than_there_are() -> None:
    for cores in (0, 100_000, True):
        with pytest.raises(InputError, match="this process may use"):
            measure_apart(train_step(), cores=cores)


def test_cold_caches_are_emptied_before_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[int] = []

    def emptier() -> object:
        return lambda: emptied.append(1)

    monkeypatch.setattr(module, "cache_emptier", emptier)
    found = measure_program(train_step(), cache="cold", settings=FEW, clock=ticking())
    assert found.cache == "cold"
    assert found.median_s == found.dispatch_s == 0.001  # nothing of it is in the times
    # Program and null executable: first call, warm-up, samples.
    assert len(emptied) == 2 * (1 + 1 + found.samples)
    with pytest.raises(InputError, match="'tepid'"):
        measure_program(train_step(), cache="tepid")


def test_four_times_the_last_cache_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = (
        host.Cache(name="L1", size_bytes=1024, instances=1),
        host.Cache(name="L2", size_bytes=4096, instances=1),
    )
    monkeypatch.setattr(host, "caches", lambda cores: caches)
    assert module.cold_bytes() == 4 * 4096
    module.cache_emptier()()
    monkeypatch.setattr(host, "caches", lambda cores: ())
    with pytest.raises(InputError, match="how large its caches are"):
        module.cache_emptier()


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
