"""Bytes of every dtype, those of less than a byte included."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given

from edgegraph import xla
from tests.conformance.cases import SUB_BYTE_BITS, Array, Case, arrays, module
from tests.conformance.harness import EXAMPLES, Priced, alone, price, xla_total

BYTES = {
    **dict.fromkeys(("pred", "s8", "u8", "f8e8m0fnu"), 1),
    **dict.fromkeys(("f8e4m3fn", "f8e5m2", "f8e4m3", "f8e3m4"), 1),
    **dict.fromkeys(("f8e4m3b11fnuz", "f8e4m3fnuz", "f8e5m2fnuz"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
    "c128": 16,
}


def bytes_by_hand(x: Array) -> int:
    size = math.prod(x.dims)
    if x.dtype in BYTES:
        return size * BYTES[x.dtype]
    return math.ceil(size * SUB_BYTE_BITS[x.dtype] / 8)


@EXAMPLES
@given(arrays())
def test_bytes_of_a_copy(x: Array) -> None:
    case = Case("copy", x, (x,))
    cost = price(xla.parse_text(module(case))).costs["x0"].cost
    assert (cost.bytes_read, cost.bytes_written) == (bytes_by_hand(x), bytes_by_hand(x))
    assert alone(case).bytes == 2 * bytes_by_hand(x)


def quantised_layer() -> tuple[bytes, bytes]:
    """Lower and compile a dense layer with weights of four bits."""

    def layer(x: jax.Array, w: jax.Array) -> jax.Array:
        return x @ w.astype(jnp.bfloat16)

    x = jax.ShapeDtypeStruct((16, 33), jnp.bfloat16)
    w = jax.ShapeDtypeStruct((33, 64), jnp.int4)
    lowered = jax.jit(layer).lower(x, w)
    return xla.lowered_module(lowered), xla.compiled_module(lowered.compile())


def read_of_weights(priced: Priced) -> int:
    """Sum the bytes read by the ops that unpack the weights."""
    (weights,) = (
        node.name
        for node in priced.nodes
        if node.instruction.opcode == "parameter"
        and node.parent is None
        and node.instruction.shape.dtype == "s4"
    )
    users = [node.name for node in priced.nodes if weights in node.operands]
    return sum(priced.costs[name].cost.bytes_read or 0 for name in users)


def test_weights_of_four_bits_are_packed_whether_xla_has_decided_or_not() -> None:
    lowered, compiled = map(price, quantised_layer())
    assert read_of_weights(lowered) == 33 * 64 // 2
    assert read_of_weights(compiled) == 33 * 64 // 2
    assert compiled.total.is_near(xla_total(compiled.module.serialized))


@pytest.mark.parametrize("dtype", ["f8e4m3fn", "f8e5m2", "s8", "bf16"])
def test_a_dot_runs_in_the_dtype_of_its_operands(dtype: str) -> None:
    x, y = Array(dtype, (4, 8)), Array("f32", (4, 4))
    attributes = ", lhs_contracting_dims={1}, rhs_contracting_dims={1}"
    scale = Array("f8e8m0fnu", (1, 1))
    for case in (
        Case("dot", y, (x, x), attributes),
        Case("scaled-dot", y, (x, x, scale, scale), attributes),
    ):
        assert price(xla.parse_text(module(case))).costs["x0"].dtype == dtype
