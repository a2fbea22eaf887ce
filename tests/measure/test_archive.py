"""Programs that were handed to another process do there what they do here."""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import pytest

from edgegraph.base.timing import Progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.archive import (
    ProgramArchive,
    program_archive,
    run_in_subprocess,
    time_limit_s,
)
from edgegraph.workload import Workload
from tests.measure.apart import (
    PROGRAMS,
    addresses,
    compiled,
    constant,
    fail,
    results_of,
    results_of_all,
)

Answer = TypeVar("Answer")

needs_two_cores = pytest.mark.skipif(len(host.usable_cores()) < 2, reason="there is only one core")


def run(task: Callable[[list[Program], Progress], Answer], archive: ProgramArchive) -> Answer:
    return run_in_subprocess(task, archive, label="test", timeout_s=120)


def pack(program: Program, cores: int | None = None) -> None:
    with program_archive([program], cores=cores):
        pass


@pytest.mark.parametrize("cores", [None, pytest.param(1, marks=needs_two_cores)])
def test_programs_of_all_kinds(cores: int | None) -> None:
    programs = [make() for make in PROGRAMS.values()]
    with program_archive(programs, cores=cores) as archive:
        apart = run(results_of_all, archive)
    for name, program, results in zip(PROGRAMS, programs, apart, strict=True):
        for here, there in zip(results_of(program), results, strict=True):
            assert there == pytest.approx(here, rel=1e-5), name


def test_numbers_of_64_bits() -> None:
    with jax.enable_x64(True), program_archive([compiled(jnp.sin, jnp.ones(3))]) as archive:
        [[[result, *_]]] = run(results_of_all, archive)
    assert result == math.sin(1.0)


def test_values_that_programs_share_are_sent_and_held_once() -> None:
    weights = jnp.arange(100_000, dtype=jnp.float32)
    first = compiled(lambda w, x: w * x, weights, jnp.float32(2.0))
    second = compiled(lambda w, v: w + v, weights, jnp.copy(weights))
    with program_archive([first, first, second]) as archive:
        assert (
            archive.size_bytes < 2.5 * weights.nbytes
        )  # both of the second's values are kept apart
        one, same, other = run(addresses, archive)
    assert one == same
    assert one[0] == other[0] != other[1]


def test_an_archive_can_be_sent_again_with_another_task() -> None:
    with program_archive([constant()]) as archive:
        long = os.pread(archive.with_task(partial(fail, "long" * 100)).fileno(), 1 << 20, 0)
        short = os.pread(archive.with_task(addresses).fileno(), 1 << 20, 0)
        assert len(short) < len(long)
        assert short[: archive.size_bytes] == long[: archive.size_bytes]
        assert len(run(results_of_all, archive)) == 1


def test_what_cannot_leave_the_process_is_one_line(tmp_path: Path) -> None:
    def callback(x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        out: jax.Array = jax.pure_callback(lambda value: value, shape, x)
        return out

    asks = compiled(callback, jnp.ones(3), name="asks")
    with (
        pytest.raises(InputError, match="'asks' calls Python on the host") as raised,
        program_archive([asks]),
    ):
        pass
    assert "\n" not in str(raised.value)
    lowered = compile_workload(
        Workload.from_function(lambda x: x, lambda batch: (jnp.ones(batch),)), stage="lowered"
    )
    with (
        pytest.raises(InputError, match="nothing that could be run here"),
        program_archive([lowered]),
    ):
        pass


def test_no_file_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), program_archive([constant()]):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_the_other_process_fails_in_one_line() -> None:
    with (
        program_archive([constant()]) as archive,
        pytest.raises(EdgeGraphError) as raised,
    ):
        run(partial(fail, "no more"), archive)
    assert str(raised.value) == "test failed in a subprocess: ValueError: no more"


def test_the_time_limit_grows_with_the_work() -> None:
    """Two minutes to start, four times the measuring, ten times the compiling, 20 MB/s."""
    archive = ProgramArchive(io.BytesIO(), size_bytes=40_000_000, compile_s=3.0, cores=None)
    assert time_limit_s(archive, 15.0) == 120 + 4 * 15 + 10 * 3 + 2
