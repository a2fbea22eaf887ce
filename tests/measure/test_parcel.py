"""Programs that were handed to another process do there what they do here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import msgspec
import pytest

from edgegraph.child import run_child
from edgegraph.compiler import compile as compile_workload
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.parcel import parcel
from edgegraph.measure.process import run_in_subprocess
from edgegraph.workload import Workload
from tests.measure.apart import PROGRAMS, compiled, results_of

HERE = "tests.measure.apart"


@pytest.mark.parametrize("recompile", [False, True])
def test_programs_of_all_kinds(recompile: bool) -> None:
    programs = [make() for make in PROGRAMS.values()]
    with parcel(programs, recompile=recompile) as packed:
        answer = run_in_subprocess(
            f"{HERE}:serve_results",
            packed,
            b"go",
            label="",
            cores=None,
            timeout_s=120,
            progress=None,
        )
    apart = msgspec.json.decode(answer)
    for name, program, results in zip(PROGRAMS, programs, apart, strict=True):
        for here, there in zip(results_of(program), results, strict=True):
            assert there == pytest.approx(here, rel=1e-5), name


def test_values_that_programs_share_are_sent_and_held_once() -> None:
    weights = jnp.arange(100_000, dtype=jnp.float32)
    first = compiled(lambda w, x: w * x, weights, jnp.float32(2.0))
    second = compiled(lambda w, v: w + v, weights, jnp.copy(weights))
    with parcel([first, first, second]) as packed:
        assert packed.bytes < 2.5 * weights.nbytes  # both of the second's values are kept apart
        answer = run_in_subprocess(
            f"{HERE}:serve_sharing", packed, b"", label="", cores=None, timeout_s=120, progress=None
        )
    one, same, other = msgspec.json.decode(answer)
    assert one == same
    assert one[0] == other[0] != other[1]


def test_a_parcel_can_be_sent_again_with_another_task() -> None:
    with parcel([PROGRAMS["constant"]()]) as packed:
        long = os.pread(packed.address(b"long" * 100).fileno(), 1 << 20, 0)
        short = os.pread(packed.address(b"go").fileno(), 1 << 20, 0)
        assert len(short) < len(long)
        assert short[: packed.bytes] == long[: packed.bytes]
        assert run_child(f"{HERE}:serve_results", packed.file, timeout_s=120) != b""


def test_what_cannot_leave_the_process_is_one_line(tmp_path: Path) -> None:
    def callback(x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        out: jax.Array = jax.pure_callback(lambda value: value, shape, x)
        return out

    asks = compiled(callback, jnp.ones(3), name="asks")
    with pytest.raises(InputError, match="'asks' cannot be handed to") as raised, parcel([asks]):
        pass
    assert "\n" not in str(raised.value)
    lowered = compile_workload(
        Workload.from_function(lambda x: x, lambda batch: (jnp.ones(batch),)), stage="lowered"
    )
    with pytest.raises(InputError, match="nothing that could be run here"), parcel([lowered]):
        pass


def test_no_file_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), parcel([PROGRAMS["constant"]()]):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_the_other_process_dies_in_one_line() -> None:
    with parcel([PROGRAMS["constant"]()]) as packed, pytest.raises(EdgeGraphError) as raised:
        run_in_subprocess(
            f"{HERE}:serve_results",
            packed,
            b"stop",
            label="",
            cores=None,
            timeout_s=60,
            progress=None,
        )
    assert "AssertionError" in str(raised.value)
