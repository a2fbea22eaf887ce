"""Multiply-accumulates, counted one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from edgegraph import xla
from edgegraph.hlo.decode import decode
from tests.conformance.cases import Array, Case, module
from tests.conformance.harness import EXAMPLES, Priced, price, xla_total
from tests.conformance.products import (
    Axis,
    Convolution,
    Product,
    RaggedProduct,
    convolutions,
    products,
    ragged_products,
)


def priced(case: Case) -> Priced:
    return price(xla.parse_text(module(case)))


@EXAMPLES
@given(products(), st.sampled_from(["dot", "scaled-dot"]))
def test_dots(dot: Product, opcode: str) -> None:
    everything = (*dot.batch, *dot.rows, *dot.columns, *dot.contracted)
    counted = sum(1 for _ in product(*map(range, everything)))
    found = priced(dot.case(opcode))
    assert found.costs["x0"].cost.macs == counted
    assert found.cost("x0").flops == 2 * counted


@EXAMPLES
@given(ragged_products(), st.data())
def test_ragged_dots(dot: RaggedProduct, data: st.DataObject) -> None:
    """However the groups fall, every row, batch or summand belongs to one of them."""
    extent = {"rows": dot.rows, "contracted": dot.contracted, "batch": dot.batch}[dot.ragged]
    groups = data.draw(st.lists(st.integers(1, dot.groups), min_size=extent, max_size=extent))
    counted = 0
    for group in range(1, dot.groups + 1):
        axes = {"batch": dot.batch, "rows": dot.rows, "contracted": dot.contracted}
        places = {name: range(extent) for name, extent in axes.items()}
        mine = [place for place in places.pop(dot.ragged) if groups[place] == group]
        counted += sum(1 for _ in product(mine, *places.values(), range(dot.columns)))
    found = priced(dot.case())
    assert found.costs["x0"].cost.macs == counted
    assert found.cost("x0").flops == 2 * counted


def meets(axis: Axis, position: int, tap: int) -> int | None:
    """Return the place in the input, or None on padding or in a hole."""
    place = position * axis.stride + tap * axis.dilation - axis.low
    if place % axis.holes or not 0 <= place // axis.holes < axis.extent:
        return None
    return place // axis.holes


def count(conv: Convolution, pairs: Callable[[Axis], int]) -> int:
    """Sum over every output element, and over the input features of its group."""
    counted = 0
    spatial = math.prod(map(pairs, conv.axes))
    for _ in range(conv.batch):
        for feature in range(conv.outputs):
            group = feature * conv.groups // conv.outputs
            features = range(group * conv.inputs, (group + 1) * conv.inputs)
            counted += sum(spatial for _ in features)
    return counted


def valid_pairs(axis: Axis) -> int:
    taps = product(range(axis.positions), range(axis.size))
    return sum(meets(axis, position, tap) is not None for position, tap in taps)


def all_pairs(axis: Axis) -> int:
    return sum(1 for _ in product(range(axis.positions), range(axis.size)))


@EXAMPLES
@given(convolutions(holes=(1,)))
def test_convolutions(conv: Convolution) -> None:
    """Padding is counted in MACs, and not in FLOPs."""
    found = priced(conv.case())
    assert found.costs["x0"].cost.macs == count(conv, all_pairs)
    assert found.cost("x0").flops == 2 * count(conv, valid_pairs)


@EXAMPLES
@given(convolutions(spatial=(1, 2), holes=(1, 2, 3)))
def test_flops_of_convolutions_with_holes(conv: Convolution) -> None:
    assert xla_total(xla.parse_text(module(conv.case()))).flops == 2 * count(conv, valid_pairs)


def function(conv: Convolution) -> Callable[[Any, Any], Any]:
    """Return the JAX function of a convolution; its letters become JAX's."""
    letters = str.maketrans("bfio012", "NCIOHWD")
    x, w, y = (label.translate(letters) for label in conv.labels)
    return lambda image, kernel: lax.conv_general_dilated(
        image,
        kernel,
        [axis.stride for axis in conv.axes],
        [(axis.low, axis.high) for axis in conv.axes],
        lhs_dilation=[axis.holes for axis in conv.axes],
        rhs_dilation=[axis.dilation for axis in conv.axes],
        dimension_numbers=(x, w, y),
        feature_group_count=conv.groups,
        batch_group_count=conv.batch_groups,
    )


@st.composite
def layers(draw: st.DrawFn, *, transposed: bool) -> Convolution:
    """Draw a convolution as networks have it: no kernel larger than its input, no wild padding."""
    small = st.integers(1, 3)
    axes = []
    for _ in range(draw(small)):
        size, dilation = draw(small), 1 if transposed else draw(small)
        reach = (size - 1) * dilation
        axes.append(
            Axis(
                extent=draw(st.integers(size, 9)),
                size=size,
                stride=1 if transposed else draw(small),
                low=draw(st.integers(0, reach)),
                high=draw(st.integers(0, reach)),
                dilation=dilation,
                holes=draw(st.integers(2, 3)) if transposed else 1,
            )
        )
    assume(all(axis.positions >= (axis.size if transposed else 1) for axis in axes))
    groups, batch_groups = draw(st.sampled_from([(1, 1), (2, 1), (4, 1), (1, 2)]))
    places = "012"[: len(axes)]
    labels = ("b{}f", "{}io", "b{}f"), ("bf{}", "oi{}", "bf{}")
    x, w, y = (label.format(places) for label in draw(st.sampled_from(labels)))
    return Convolution(
        dtype="f32",
        axes=tuple(axes),
        batch=draw(small),
        inputs=draw(small),
        outputs=draw(small) * groups * batch_groups,
        groups=groups,
        batch_groups=batch_groups,
        labels=(x, w, y),
    )


def lowered_macs(compute: Callable[..., Any], *arguments: Any) -> int:
    module = decode(xla.lowered_module(jax.jit(compute).lower(*arguments)))
    found = price(module.serialized)
    return sum(cost.cost.macs or 0 for cost in found.costs.values())


def check_backward(conv: Convolution, forward: int) -> None:
    """Check the MACs of a convolution, of the gradient of its input and of that of its weights."""
    x, w = (
        jax.ShapeDtypeStruct(shape.dims, jnp.float32)
        for shape in conv.case().operands
        if isinstance(shape, Array)
    )
    compute = function(conv)
    y = jax.eval_shape(compute, x, w)

    def of_input(x: Any, w: Any, y: Any) -> Any:
        return jax.vjp(lambda x: compute(x, w), x)[1](y)

    def of_weights(x: Any, w: Any, y: Any) -> Any:
        return jax.vjp(lambda w: compute(x, w), w)[1](y)

    assert lowered_macs(compute, x, w) == forward
    assert (
        lowered_macs(lambda x, w, y: jax.vjp(lambda x: compute(x, w), x)[1](y), x, w, y) == forward
    )
    assert (
        lowered_macs(lambda x, w, y: jax.vjp(lambda w: compute(x, w), w)[1](y), x, w, y) == forward
    )


@EXAMPLES
@given(layers(transposed=False))
def test_each_gradient_costs_what_the_forward_pass_does(conv: Convolution) -> None:
    check_backward(conv, count(conv, all_pairs))


@EXAMPLES
@given(layers(transposed=True))
def test_so_it_is_with_transposed_convolutions(conv: Convolution) -> None:
    """There, every element of the input meets every tap of the kernel."""
    check_backward(conv, count(conv, lambda axis: axis.extent * axis.size))
