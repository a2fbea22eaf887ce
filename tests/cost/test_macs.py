"""MACs against arithmetic by hand, as papers count: padding in, dilation holes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from edgegraph import xla
from edgegraph.cost.products import macs
from edgegraph.hlo.decode import decode

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
