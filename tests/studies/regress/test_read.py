"""Programs of other versions, read here; digests that hold across versions."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.compiler.program import Program
from edgegraph.studies.regress.read import Compiled, program_digest, spent_in
from tests.studies.regress.test_changed import X, plain, sorts


def program(function: object) -> Program:
    return eg.compile(function, X, name="net")


def test_the_digest_tells_programs_apart_and_no_names() -> None:
    renamed = eg.compile(lambda y: jnp.tanh(y @ y), X, name="other")
    assert program_digest(program(plain).module) == program_digest(renamed.module)
    assert program_digest(program(plain).module) != program_digest(program(sorts).module)


def test_a_profile_says_where_the_time_went(tmp_path: Path) -> None:
    made = program(sorts)
    analysis = eg.analyze(made, measure=True, trace=True, trace_dir=tmp_path)
    (path,) = tmp_path.rglob("*.xplane.pb")
    spent = spent_in(Compiled(program=made, analysis=analysis, answer={}), path)
    assert any("sort" in name for name in spent.ops)
    parts = {key.partition("\t")[0] for key in (*spent.layers, *spent.split)}
    assert {"first", "second"} <= parts | {"first"}
    held = sum(spent.layers.values()) + sum(spent.split.values())
    assert held <= sum(spent.ops.values()) * 1.0001
    for key, split in spent.split.items():
        assert split <= spent.shared[key] * 1.0001


def test_a_profile_of_something_else_is_refused(tmp_path: Path) -> None:
    made = program(plain)
    path = tmp_path / "empty.xplane.pb"
    path.write_bytes(b"")
    with pytest.raises(eg.EdgeGraphError):
        spent_in(Compiled(program=made, analysis=eg.analyze(made), answer={}), path)
