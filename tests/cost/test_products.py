"""Products: their MACs by hand, as papers count them, and what they multiply in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from edgegraph import xla
from edgegraph.cost.price import price_nodes
from edgegraph.cost.products import ComputeType, macs
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten

LAYOUT = ("NHWC", "HWIO", "NHWC")


def count(function: Callable[..., Any], *shapes: tuple[int, ...]) -> int:
    """Count the MACs of the lowered program, all computations together."""
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    module = decode(xla.lowered_module(jax.jit(function).lower(*arguments)))
    total = 0
    for computation in module.computations.values():
        shape_of = {i.name: i.shape for i in computation.instructions}
        for instruction in computation.instructions:
            total += macs(instruction, [shape_of[name] for name in instruction.operands])
    return total


def conv(**settings: Any) -> Callable[..., Any]:
    return lambda x, w: lax.conv_general_dilated(
        x, w, **({"window_strides": (1, 1), "padding": "SAME"} | settings), dimension_numbers=LAYOUT
    )


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        pytest.param(conv(), [(2, 8, 8, 3), (3, 3, 3, 16)], 2 * 8 * 8 * 16 * 9 * 3, id="same"),
        pytest.param(
            conv(window_strides=(2, 2)),
            [(1, 8, 8, 4), (3, 3, 4, 8)],
            4 * 4 * 8 * 9 * 4,
            id="strided",
        ),
        pytest.param(
            conv(feature_group_count=4),
            [(1, 8, 8, 8), (3, 3, 2, 16)],
            64 * 16 * 9 * 2,
            id="grouped",
        ),
        pytest.param(
            conv(feature_group_count=8), [(1, 8, 8, 8), (3, 3, 1, 8)], 64 * 8 * 9, id="depthwise"
        ),
        pytest.param(
            conv(rhs_dilation=(2, 2)), [(1, 8, 8, 3), (3, 3, 3, 5)], 64 * 5 * 9 * 3, id="dilated"
        ),
        pytest.param(
            lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=LAYOUT),
            [(1, 4, 4, 3), (2, 2, 3, 5)],
            # Every input position meets every tap once.
            4 * 4 * 4 * 3 * 5,
            id="transposed",
        ),
        pytest.param(
            lambda a, b: jnp.einsum("bij,bjk->bik", a, b),
            [(5, 6, 7), (5, 7, 8)],
            5 * 6 * 7 * 8,
            id="batched dot",
        ),
        pytest.param(
            lambda a, b: jnp.tensordot(a, b, 2), [(6, 3, 4), (3, 4, 8)], 6 * 8 * 12, id="two axes"
        ),
        pytest.param(lambda a, b: a + b, [(4, 4), (4, 4)], 0, id="no product"),
    ],
)
def test_by_hand(
    function: Callable[..., Any], shapes: list[tuple[int, ...]], expected: int
) -> None:
    assert count(function, *shapes) == expected


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_backward_costs_twice_the_forward(groups: int, stride: int) -> None:
    forward = conv(feature_group_count=groups, window_strides=(stride, stride))
    shapes = [(2, 8, 8, 8), (3, 3, 8 // groups, 16)]
    once = count(forward, *shapes)
    both = count(jax.grad(lambda x, w: forward(x, w).sum(), argnums=(0, 1)), *shapes)
    # The gradient of a sum does not need the forward pass itself.
    assert both == 2 * once


DIMS = "lhs_contracting_dims={1}, rhs_contracting_dims={0}"


def computes(text: str, name: str = "dot") -> ComputeType:
    """Return what the op called `name` computes in."""
    module = decode(xla.parse_text(text))
    return price_nodes(module, flatten(module))[name].computes


def dot(lhs: str, rhs: str, out: str, attribute: str = "") -> ComputeType:
    return computes(f"""HloModule m
      ENTRY e {{ x = {lhs}[4,8] parameter(0)
                 y = {rhs}[8,2] parameter(1)
                 ROOT dot = {out}[4,2] dot(x, y), {DIMS}{attribute} }}""")


def fused(
    lhs: str, rhs: str, out: str, chain: str = "convert(p)", kind: str = "kCustom"
) -> ComputeType:
    """Convert both operands of a dot inside a fusion; `chain` is how the left one is."""
    return computes(f"""HloModule m
      f {{ p = {lhs}[4,8] parameter(0)
           q = {rhs}[8,2] parameter(1)
           a = {out}[4,8] {chain}
           b = {out}[8,2] convert(q)
           ROOT dot = {out}[4,2] dot(a, b), {DIMS} }}
      ENTRY e {{ x = {lhs}[4,8] parameter(0)
                 y = {rhs}[8,2] parameter(1)
                 ROOT fusion = {out}[4,2] fusion(x, y), kind={kind}, calls=f }}""")


@pytest.mark.parametrize(
    ("lhs", "rhs", "out", "expected"),
    [
        ("f32", "f32", "f32", "f32"),
        ("bf16", "bf16", "f32", "bf16"),
        # The sum is wider than what is multiplied.
        ("s8", "s8", "s32", "s8"),
        ("s4", "s4", "s32", "s4"),
        ("f8e4m3fn", "f8e5m2", "f32", "f8e4m3fn"),
        # Both operands go through the units of the wider one.
        ("s4", "s8", "s32", "s8"),
        ("bf16", "f32", "f32", "f32"),
    ],
)
def test_dots_compute_in_what_they_multiply(lhs: str, rhs: str, out: str, expected: str) -> None:
    assert dot(lhs, rhs, out) == ComputeType(expected, None, "default")


def test_precision_is_handed_on() -> None:
    assert dot("f32", "f32", "f32", ", operand_precision={highest,highest}").precision == "highest"
    found = dot("f32", "f32", "f32", ", algorithm=dot_bf16_bf16_f32_x3")
    assert found == ComputeType("f32", None, "dot_bf16_bf16_f32_x3")


def test_other_ops_compute_in_their_result() -> None:
    text = """HloModule m
      ENTRY e { x = f32[4] parameter(0)
                ROOT c = bf16[4] convert(x) }"""
    assert computes(text, "c") == ComputeType("bf16")


def test_operands_converted_in_the_same_kernel_are_known_by_their_source() -> None:
    assert fused("bf16", "bf16", "f32") == ComputeType("f32", "bf16", "default")
    assert fused("f8e4m3fn", "bf16", "f32") == ComputeType("f32", "bf16", "default")
    assert fused("s8", "s8", "s32") == ComputeType("s32", "s8", "default")


def test_what_is_not_converted_on_both_sides_is_as_wide_as_it_says() -> None:
    assert fused("f32", "bf16", "f32", "negate(p)") == ComputeType("f32", None, "default")
    # A sum of two bf16 in f32 is no bf16.
    summed = computes(f"""HloModule m
      f {{ p = bf16[4,8] parameter(0)
           q = bf16[8,2] parameter(1)
           wide = f32[4,8] convert(p)
           a = f32[4,8] add(wide, wide)
           b = f32[8,2] convert(q)
           ROOT dot = f32[4,2] dot(a, b), {DIMS} }}
      ENTRY e {{ x = bf16[4,8] parameter(0)
                 y = bf16[8,2] parameter(1)
                 ROOT fusion = f32[4,2] fusion(x, y), kind=kCustom, calls=f }}""")
    assert summed == ComputeType("f32", None, "default")


def test_products_in_loop_fusions_see_no_matrix_units() -> None:
    assert fused("bf16", "bf16", "f32", kind="kLoop") == ComputeType("f32")
    assert fused("bf16", "bf16", "f32", kind="kOutput") == ComputeType("f32", "bf16", "default")


def test_integers_are_no_narrow_floats() -> None:
    assert fused("s8", "s8", "f32") == ComputeType("f32", None, "default")


def test_reshapes_keep_values() -> None:
    found = computes(f"""HloModule m
      f {{ p = bf16[8,4] parameter(0)
           q = bf16[8,2] parameter(1)
           turned = bf16[4,8] transpose(p), dimensions={{1,0}}
           a = f32[4,8] convert(turned)
           b = f32[8,2] convert(q)
           ROOT dot = f32[4,2] dot(a, b), {DIMS} }}
      ENTRY e {{ x = bf16[8,4] parameter(0)
                 y = bf16[8,2] parameter(1)
                 ROOT fusion = f32[4,2] fusion(x, y), kind=kCustom, calls=f }}""")
    assert found == ComputeType("f32", "bf16", "default")


def gemm(config: str) -> ComputeType:
    config = (
        '{"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],'
        f'"rhs_contracting_dimensions":["0"]}}{config}}}}}'
    )
    return computes(
        f"""HloModule m
      ENTRY e {{ x = f32[4,8] parameter(0)
                 y = f32[8,2] parameter(1)
                 ROOT dot = (f32[4,2], s8[64]) custom-call(x, y),
                   custom_call_target="__cublas$gemm", backend_config={config} }}"""
    )


def test_libraries_are_told_in_their_configuration() -> None:
    unset = ',"algorithm":"ALG_UNSET"'
    assert gemm("").precision == "default"
    for level, expected in (("DEFAULT", "default"), ("HIGH", "high"), ("HIGHEST", "highest")):
        told = f',"precision_config":{{"operand_precision":["{level}","{level}"]{unset}}}'
        assert gemm(told) == ComputeType("f32", None, expected)
    mixed = f',"precision_config":{{"operand_precision":["HIGHEST","DEFAULT"]{unset}}}'
    assert gemm(mixed).precision == "default"
    named = ',"precision_config":{"operand_precision":[],"algorithm":"ALG_DOT_BF16_BF16_F32_X6"}'
    assert gemm(named).precision == "dot_bf16_bf16_f32_x6"


def test_a_gradient_of_weights_that_is_written_like_a_convolution() -> None:
    # 4 inputs, a kernel of 2, so 3 outputs: 3 x 2 products, forwards and for the kernel's gradient,
    # where the outputs' gradient stands in the place of the kernel.
    module = decode(
        xla.parse_text("""HloModule m
        ENTRY e { x = f32[1,4,1] parameter(0)
                  g = f32[3,1,1] parameter(1)
                  ROOT w = f32[1,2,1] convolution(x, g), window={size=3}, dim_labels=b0f_0io->b0f,
                    metadata={op_name="jit(f)/transpose(jvp(net))/conv_general_dilated"} }""")
    )
    x, g, w = module.computations[module.entry].instructions
    assert macs(w, [x.shape, g.shape]) == 3 * 2
