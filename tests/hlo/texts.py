"""Programs with XLA's own text of them, against which what is decoded and written is held."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Instruction, Module
from edgegraph.hlo.schema import HloModuleProto, Proto
from tests import programs

F32 = jnp.float32


def convolutions() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return plain, strided, dilated, grouped, transposed and odd-layout convolutions."""

    def run(x: Any, k: Any, depthwise: Any, y: Any) -> Any:
        same = lax.conv_general_dilated(x, k, (1, 1), "SAME")
        strided = lax.conv_general_dilated(x, k, (2, 1), [(1, 2), (0, 3)], rhs_dilation=(1, 2))
        grouped = lax.conv_general_dilated(x, depthwise, (1, 1), "VALID", feature_group_count=4)
        transposed = lax.conv_general_dilated(x, k, (1, 1), [(2, 2), (1, 0)], lhs_dilation=(2, 3))
        mixed = lax.conv_general_dilated(
            y, k, (1, 1), "VALID", dimension_numbers=("HNCW", "OIHW", "NHWC")
        )
        return same, strided, grouped, transposed, mixed

    shapes = (2, 4, 9, 9), (8, 4, 3, 3), (8, 1, 3, 3), (9, 2, 4, 9)
    return run, tuple(jax.ShapeDtypeStruct(shape, F32) for shape in shapes)


def kernel_gradient() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the gradient of a depthwise kernel, which XLA writes with batch groups."""

    def run(x: Any, k: Any) -> Any:
        return lax.conv_general_dilated(x, k, (1, 1), "SAME", feature_group_count=4).sum()

    shapes = (2, 4, 9, 9), (8, 1, 3, 3)
    return jax.grad(run, argnums=1), tuple(jax.ShapeDtypeStruct(shape, F32) for shape in shapes)


def dots() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return dots with and without batch dimensions, some fused, and a reduce-window."""

    def run(a: Any, b: Any) -> Any:
        batched = jnp.einsum("bij,bkj->bik", a, b)
        contracted = jnp.einsum("bij,bij->", a, b)
        pooled = lax.reduce_window(a, -jnp.inf, lax.max, (1, 2, 3), (1, 2, 1), "SAME")
        return jax.nn.softmax(batched), contracted, pooled, jnp.cumsum(a, axis=1, dtype=F32)

    return run, (jax.ShapeDtypeStruct((3, 4, 6), F32), jax.ShapeDtypeStruct((3, 4, 6), F32))


def linear_algebra() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a program that is a custom call after compilation."""
    return jnp.linalg.cholesky, (jax.ShapeDtypeStruct((4, 4), F32),)


PROGRAMS: tuple[tuple[Callable[..., Any], tuple[int, ...]], ...] = (
    (programs.small_cnn, (2,)),
    (programs.small_cnn_gradient, (2,)),
    (programs.scan, (5,)),
    (programs.branches, ()),
    (programs.mixed, ()),
    (programs.data_dependent_loop, ()),
    (programs.top_k, ()),
    (convolutions, ()),
    (kernel_gradient, ()),
    (dots, ()),
    (linear_algebra, ()),
)


IDS = [make.__name__ for make, _ in PROGRAMS]

STAGES = ("lowered", "compiled")


@cache
def module_and_text(program: int, stage: str) -> tuple[Module, str]:
    """Return the decoded module of one of `PROGRAMS`, and XLA's text of the same."""
    make, arguments = PROGRAMS[program]
    function, abstract = make(*arguments)
    lowered = jax.jit(function).lower(*abstract)
    if stage == "lowered":
        return decode(xla.lowered_module(lowered)), lowered.as_text("hlo") or ""
    compiled = lowered.compile()
    return decode(xla.compiled_module(compiled)), compiled.as_text() or ""


def instruction_lines(text: str) -> dict[str, str]:
    """Return every instruction's line by its name, in XLA's order, without sigils and comments."""
    text = re.sub(r"/\*.*?\*/", "", text.replace("%", ""))
    found: dict[str, str] = {}
    for line in text.splitlines():
        instruction = re.match(r"\s+(?:ROOT )?([\w.-]+) = (.*)", line)
        if instruction:
            found[instruction[1]] = instruction[2]
    return found


def by_name(module: Module) -> dict[str, Instruction]:
    return {i.name: i for c in module.computations.values() for i in c.instructions}


@cache
def proto_bytes() -> bytes:
    """Return a module with a loop, a fusion, a dot and stack frames, to be damaged."""
    return programs.compiled(programs.scan, 5)


def damaged(change: Callable[[Proto], object]) -> bytes:
    proto = HloModuleProto.FromString(proto_bytes())
    change(proto)
    return bytes(proto.SerializeToString())


def entry(proto: Proto) -> Proto:
    return next(c for c in proto.computations if c.id == proto.entry_computation_id)


def called(proto: Proto, opcode: str) -> Proto:
    return next(i for c in proto.computations for i in c.instructions if i.opcode == opcode)
