from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array

from tests.rewrites.plain import applying, check
from tests.rewrites.test_convolution import convolution, inputs

VOLUME = ("volume-as-sum-of-flat", "volume-as-stacked-flat")
steps = st.tuples(*[st.integers(1, 2)] * 3)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(VOLUME),
    st.tuples(*[st.integers(1, 3)] * 3),
    steps,
    steps,
    st.sampled_from(["SAME", "VALID", ((1, 0), (0, 2), (1, 1))]),
    st.sampled_from(["float32", "bfloat16"]),
)
def test_volumes(
    rule: str,
    sizes: tuple[int, int, int],
    strides: tuple[int, int, int],
    dilation: tuple[int, int, int],
    padding: object,
    dtype: str,
) -> None:
    function = convolution(
        3, "NDHWC", window_strides=strides, rhs_dilation=dilation, padding=padding
    )
    check(function, rule, *inputs("NDHWC", (6, 7, 5), 3, (*sizes, 3, 4), dtype))


@pytest.mark.parametrize("rule", VOLUME)
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_a_volume(rule: str, stride: int) -> None:
    function = convolution(3, "NDHWC", window_strides=(stride,) * 3, padding="SAME")
    arguments = inputs("NDHWC", (5, 4, 6), 2, (3, 3, 3, 2, 3), "float32")

    def loss(x: Array, w: Array) -> Array:
        return (function(x, w) ** 2).sum()

    gradients = jax.grad(loss, argnums=(0, 1))
    assert len(applying(gradients, *arguments)[rule]) == 3
    check(gradients, rule, *arguments)


def test_groups_of_a_volume() -> None:
    function = convolution(
        3, "NDHWC", window_strides=(1, 1, 1), padding="SAME", feature_group_count=2
    )
    arguments = inputs("NDHWC", (4, 4, 4), 4, (3, 3, 3, 2, 4), "float32")
    found = applying(function, *arguments)
    assert VOLUME[0] in found
    assert VOLUME[1] not in found
    check(function, VOLUME[0], *arguments)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["windows-as-dot", "patches-as-dot"]),
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 4)).filter(lambda each: each != (1, 1)),
    st.sampled_from(["SAME", "VALID", ((2, 1), (0, 3))]),
    st.sampled_from(["float32", "bfloat16"]),
)
def test_pictures(
    rule: str, stride: int, sizes: tuple[int, int], padding: object, dtype: str
) -> None:
    strides = sizes if rule == "patches-as-dot" else (stride, stride)
    function = convolution(2, "NHWC", window_strides=strides, padding=padding)
    arguments = inputs("NHWC", (11, 9), 3, (*sizes, 3, 4), dtype)
    if rule in applying(function, *arguments):
        check(function, rule, *arguments)


def test_other_ranks_and_sizes_do_not_match() -> None:
    function = convolution(2, "NHWC", window_strides=(1, 1), padding="SAME")
    found = set(applying(function, *inputs("NHWC", (20, 20), 8, (3, 3, 8, 8), "float32")))
    assert not found & {*VOLUME, "patches-as-dot", "windows-as-dot"}


def test_nan_stays_in_its_window() -> None:
    function = convolution(2, "NHWC", window_strides=(2, 2), padding="VALID")
    x = jnp.zeros((1, 6, 6, 1)).at[0, 2, 2, 0].set(jnp.nan)
    check(function, "patches-as-dot", x, jnp.ones((2, 2, 1, 3)), equal=True)
