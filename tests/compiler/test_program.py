"""What a Program knows of itself."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp

import edgegraph as eg
from edgegraph import xla
from edgegraph.compiler.program import Program, memory_use

DOT = """HloModule dot
ENTRY main {
  a = f32[32,64]{1,0} parameter(0)
  b = f32[64,16]{1,0} parameter(1)
  ROOT c = f32[32,16]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""


def program(stage: str = "optimized", compiler_memory_bytes: int | None = None) -> Program:
    return Program(
        name="dot",
        batch=None,
        target="unknown",
        stage=stage,
        serialized=xla.parse_text(DOT),
        compiler_memory_bytes=compiler_memory_bytes,
    )


def test_a_module_from_elsewhere() -> None:
    found = program()
    assert found.module.name == "dot"
    assert found.module_before is None
    assert program("lowered").module_before is not None
    # Two FLOPs for each of 32 * 64 * 16 multiply-accumulates; every array moves once.
    assert found.xla_cost["flops"] == 65_536
    assert found.xla_cost["bytes accessed"] == 4 * (32 * 64 + 64 * 16 + 32 * 16)
    assert (program().ahead, program(compiler_memory_bytes=1).ahead) == (False, True)


def test_what_was_compiled_here_knows_both_modules() -> None:
    x = jax.ShapeDtypeStruct((8,), jnp.float32)
    found = eg.compile(lambda x: jnp.tanh(x) + jnp.tanh(x), x, name="twice")
    assert found.module_before is not None
    before, after = (
        [i.opcode for c in module.computations.values() for i in c.instructions]
        for module in (found.module_before, found.module)
    )
    assert before.count("tanh") == 2  # as it was written
    assert after.count("tanh") == 1  # XLA found out that both are the same
    assert found.xla_cost["transcendentals"] == 8


def test_its_repr_is_a_line() -> None:
    program = eg.read_hlo("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }")
    assert repr(program) == "Program('m', batch=None, target='unknown', stage='lowered')"


def test_memory_statistics_keep_their_places() -> None:
    statistics = SimpleNamespace(
        argument_size_in_bytes=1,
        output_size_in_bytes=2,
        temp_size_in_bytes=3,
        alias_size_in_bytes=4,
        generated_code_size_in_bytes=5,
    )
    use = memory_use(statistics)
    assert (use.argument_bytes, use.output_bytes, use.temp_bytes) == (1, 2, 3)
    assert (use.alias_bytes, use.code_bytes) == (4, 5)
