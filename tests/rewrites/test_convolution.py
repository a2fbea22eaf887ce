from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array, lax

from tests.rewrites.plain import applying, check

LAYOUTS = {1: ("NWC", "NCW"), 2: ("NHWC", "NCHW"), 3: ("NDHWC",)}
KERNELS = {1: "WIO", 2: "HWIO", 3: "DHWIO"}


def convolution(rank: int, layout: str, **settings: Any) -> Callable[[Array, Array], Array]:
    def convolve(x: Array, w: Array) -> Array:
        numbers = (layout, KERNELS[rank], layout)
        return lax.conv_general_dilated(x, w, dimension_numbers=numbers, **settings)

    return convolve


def numbers(seed: int, shape: tuple[int, ...], dtype: str) -> Array:
    drawn = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return jnp.asarray(drawn).astype(dtype)


def inputs(
    layout: str, sides: tuple[int, ...], channels: int, kernel: tuple[int, ...], dtype: str
) -> tuple[Array, Array]:
    shape = (2, *sides, channels) if layout[-1] == "C" else (2, channels, *sides)
    return numbers(0, shape, dtype), numbers(1, kernel, dtype)


@st.composite
def depthwise(draw: st.DrawFn) -> tuple[Callable[..., Array], tuple[Array, Array]]:
    rank = draw(st.sampled_from([1, 2]))
    layout = draw(st.sampled_from(LAYOUTS[rank]))
    channels, multiplier = draw(st.integers(2, 5)), draw(st.integers(1, 2))
    sides = tuple(draw(st.integers(5, 9)) for _ in range(rank))
    sizes = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    padding = draw(
        st.sampled_from(["SAME", "VALID"])
        | st.tuples(*[st.tuples(st.integers(0, 2), st.integers(-1, 2)) for _ in range(rank)])
    )
    function = convolution(
        rank,
        layout,
        window_strides=tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        padding=padding,
        rhs_dilation=tuple(draw(st.integers(1, 2)) for _ in range(rank)),
        feature_group_count=channels,
    )
    dtype = draw(st.sampled_from(["float32", "bfloat16"]))
    kernel = (*sizes, 1, channels * multiplier)
    return function, inputs(layout, sides, channels, kernel, dtype)


@settings(max_examples=15, deadline=None)
@given(depthwise())
def test_depthwise_by_shifts(case: tuple[Callable[..., Array], tuple[Array, Array]]) -> None:
    function, arguments = case
    if 0 in jax.eval_shape(function, *arguments).shape:
        return
    check(function, "depthwise-as-shifts", *arguments)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(LAYOUTS[1] + LAYOUTS[2]),
    st.integers(1, 2),
    st.integers(1, 3),
    st.sampled_from(["float32", "bfloat16"]),
)
def test_both_gradients_of_depthwise(layout: str, stride: int, multiplier: int, dtype: str) -> None:
    rank = len(layout) - 2
    function = convolution(
        rank, layout, window_strides=(stride,) * rank, padding="SAME", feature_group_count=6
    )
    kernel = (*(3,) * rank, 1, 6 * multiplier)
    arguments = inputs(layout, (9, 8)[:rank], 6, kernel, dtype)

    def loss(x: Array, w: Array) -> Array:
        return (function(x, w) ** 2).sum()

    gradients = jax.grad(loss, argnums=(0, 1))
    found = applying(gradients, *arguments)
    assert len(found["depthwise-as-shifts"]) == 2  # forward, and the gradient of the input
    assert "depthwise-weights-as-sums" in found
    check(gradients, "depthwise-as-shifts", *arguments)
    check(gradients, "depthwise-weights-as-sums", *arguments)


@pytest.mark.parametrize(
    ("rule", "sizes", "stride", "channels", "groups"),
    [
        ("pointwise-as-dot", (1, 1), 1, 6, 1),
        ("pointwise-as-dot", (1, 1), 2, 6, 1),
        ("taps-as-dots", (3, 3), 1, 16, 1),
        ("taps-as-dots", (3, 2), 2, 16, 1),
        ("groups-as-convs", (3, 3), 1, 6, 2),
        ("channels-padded", (3, 3), 2, 3, 1),
        ("patches-as-dot", (2, 2), 2, 6, 1),
        ("windows-as-dot", (3, 3), 1, 6, 1),
        ("windows-as-dot", (3, 2), 2, 6, 1),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS[2])
def test_other_forms(
    rule: str, sizes: tuple[int, int], stride: int, channels: int, groups: int, layout: str
) -> None:
    function = convolution(
        2, layout, window_strides=(stride, stride), padding="SAME", feature_group_count=groups
    )
    kernel = (*sizes, channels // groups, 8)
    check(function, rule, *inputs(layout, (9, 8), channels, kernel, "float32"))


def test_weights_as_dots() -> None:
    function = convolution(2, "NHWC", window_strides=(2, 2), padding="SAME")
    arguments = inputs("NHWC", (19, 18), 4, (3, 3, 4, 5), "float32")

    def loss(w: Array, x: Array) -> Array:
        return (function(x, w) ** 2).sum()

    check(jax.grad(loss), "weights-as-dots", arguments[1], arguments[0])


@pytest.mark.parametrize(
    ("channels", "groups", "kernel"),
    [(8, 1, (3, 3, 8, 4)), (6, 2, (3, 3, 3, 6)), (6, 1, (1, 1, 6, 6))],
)
def test_what_is_not_depthwise_does_not_match(
    channels: int, groups: int, kernel: tuple[int, ...]
) -> None:
    function = convolution(
        2, "NHWC", window_strides=(1, 1), padding="SAME", feature_group_count=groups
    )
    found = applying(function, *inputs("NHWC", (5, 5), channels, kernel, "float32"))
    assert not {"depthwise-as-shifts", "depthwise-weights-as-sums"} & set(found)


def test_integers_do_not_match() -> None:
    function = convolution(2, "NHWC", window_strides=(1, 1), padding="SAME", feature_group_count=4)
    x, w = jnp.ones((1, 4, 4, 4), jnp.int32), jnp.ones((3, 3, 1, 4), jnp.int32)
    assert not applying(function, x, w)


def test_nan_and_infinity_stay_where_they_were() -> None:
    function = convolution(2, "NHWC", window_strides=(1, 1), padding="VALID", feature_group_count=2)
    x = jnp.zeros((1, 5, 5, 2)).at[0, 1, 1, 0].set(jnp.nan).at[0, 3, 3, 1].set(jnp.inf)
    check(function, "depthwise-as-shifts", x, jnp.ones((2, 2, 1, 2)), equal=True)
