"""Programs that show what the rules find, and their likes that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from msgspec.structs import replace as replaced

import edgegraph as eg
from edgegraph import xla
from edgegraph.compiler.program import Program
from edgegraph.results.analysis import Analysis
from tests import analyses, programs
from tests.corpus import files

TRANSFER = """
HloModule m, is_scheduled=true

ENTRY e {{
  x = f32[1000,1000] parameter(0)
  y = f32[{rows},1000] parameter(1)
  start = (f32[1000,1000], f32[1000,1000], u32[]) copy-start(x)
  a = f32[{rows},1000] negate(y)
  done = f32[1000,1000] copy-done(start)
  ROOT r = (f32[1000,1000], f32[{rows},1000]) tuple(done, a)
}}
"""
"""A copy of 4 MB, and beside it the negation of so many rows of 4 kB."""

COPY = """
HloModule m

ENTRY e {{
  x = f32[64,128]{{1,0}} parameter(0)
  ROOT c = f32[64,128]{{{layout}}} copy(x)
}}
"""
"""A copy of a matrix in rows, into rows or columns."""

REMATERIALISED = """
HloModule m, is_scheduled=true

ENTRY e {
  x = f32[64,128] parameter(0)
  tanh.1 = f32[64,128] tanh(x)
  a = f32[64,128] negate(tanh.1)
  tanh.1.remat = f32[64,128] tanh(x)
  ROOT b = f32[64,128] multiply(a, tanh.1.remat)
}
"""
"""XLA computes a tanh twice rather than keep it."""

PRODUCT = """
HloModule m

ENTRY e {{
  x = f32[{rows},{inside}] parameter(0)
  w = f32[{inside},{columns}] parameter(1)
  ROOT p = f32[{rows},{columns}] dot(x, w), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
}}
"""


SLOW = replace(
    analyses.DEVICE,
    peak_flops_per_s={
        dtype: peak / 1000 for dtype, peak in analyses.DEVICE.peak_flops_per_s.items()
    },
    memory=tuple(
        replace(level, bandwidth_bytes_per_s=level.bandwidth_bytes_per_s / 1000)
        for level in analyses.DEVICE.memory
    ),
)
"""The device of round figures, so slow that small programs take long enough to be worth a word."""


def array(*dimensions: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, dtype)


def compiled(function: Callable[..., Any], *arguments: Any, name: str = "program") -> Analysis:
    return eg.analyze(function, args=arguments, name=name, device=SLOW)


def conversion() -> Analysis:
    """Analyse a program that does nothing but convert 64 x 64 values."""
    return compiled(lambda x: x.astype(jnp.bfloat16), array(64, 64))


def transposition() -> Analysis:
    """Analyse a program that does nothing but transpose 64 x 64 values."""
    return compiled(lambda x: x.T, array(64, 64))


def from_text(text: str) -> Analysis:
    return from_module(xla.parse_text(text))


def from_corpus(name: str) -> Analysis:
    return from_module(files.serialized(name))


def from_module(serialized: bytes) -> Analysis:
    program = Program(
        name="m", batch=None, target="unknown", stage="optimized", serialized=serialized
    )
    return eg.analyze(program, device=SLOW)


def padded(rows: int, inside: int, columns: int) -> Analysis:
    """Analyse a model's product of 5x100 by 100x100, compiled elsewhere to one of other extents."""
    text = PRODUCT.format(rows=rows, inside=inside, columns=columns)
    program = Program(
        name="padded",
        batch=None,
        target="tpu:v5e",
        stage="optimized",
        serialized=xla.parse_text(text),
        lowered=jax.jit(lambda x, w: x @ w).lower(array(5, 100), array(100, 100)),
        compiler_memory_bytes=1 << 20,
    )
    return eg.analyze(program, device=SLOW)


def integer_product(result: Any) -> Analysis:
    """Analyse a product of int8 matrices with sums in `result`."""
    matrix = array(64, 64, dtype=jnp.int8)
    return compiled(lambda x, w: lax.dot(x, w, preferred_element_type=result), matrix, matrix)


def shared_intermediate(*, dear: bool = False, returned: bool = False) -> Analysis:
    """Analyse three results of one intermediate, computed once if dear or returned."""

    def run(x: jax.Array, y: jax.Array) -> tuple[jax.Array, ...]:
        shared = jnp.tanh(x) if dear else x * y + x
        results = (shared * shared, jnp.flip(shared) * 2.0, shared.T - 1.0)
        return (shared, *results) if returned else results

    return compiled(run, array(64, 64), array(64, 64))


def rotated_halves() -> Analysis:
    """Analyse products that look alike in their names and shapes, but are of other values."""

    def run(x: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
        left, right = x[:, :32], x[:, 32:]
        return jnp.flip(left * c) + 1.0, (right * c).T + 1.0

    return compiled(run, array(64, 64), array(64, 32))


def loop(iterations: int, width: int = 8) -> Analysis:
    """Analyse a loop of sines."""

    def body(_: Any, x: jax.Array) -> jax.Array:
        return jnp.sin(x) * 0.9

    return compiled(lambda x: lax.fori_loop(0, iterations, body, x), array(width))


def remat_gradient() -> Analysis:
    function, arguments = programs.remat_gradient()
    return compiled(function, *arguments)


def timed_library_fusion(seconds: float) -> Analysis:
    """Pretend that every layer of SmallCNN takes 1 ms alone, and what a library runs `seconds`."""
    found = analyses.measured(analyses.small_cnn(32), 1e-3)
    records = tuple(
        replaced(record, time_s=seconds, time_source="measured")
        if record.name.startswith("ynn_fusion")
        else record
        for record in found.op_records
    )
    return replace(found, op_records=records)
