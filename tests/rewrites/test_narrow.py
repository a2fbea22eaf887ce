from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edgegraph.rewrites.rule import rules
from tests.rewrites.plain import applying, forced
from tests.rewrites.test_convolution import convolution, inputs


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(
    ("rule", "off"),
    [
        # Of 288 products of numbers near 1, each off by at most 2 ** -8 of itself.
        ("taps-as-bf16-dots", 288**0.5 * 2**-8 * 8),
        # Either factor is off by 12 ** -0.5 of a step, 1 / 127 of the largest, which is about 4;
        # no result by more than five times what that makes of the sum.
        ("taps-as-int8-dots", 5 * 288**0.5 * 2**0.5 * 12**-0.5 * 4 / 127),
    ],
)
def test_rounded_products(rule: str, off: float, layout: str) -> None:
    function = convolution(2, layout, window_strides=(2, 1), padding="SAME")
    arguments = inputs(layout, (8, 8), 32, (3, 3, 32, 8), "float32")
    assert rules()[rule].exactness == "lower precision"
    plain = np.asarray(function(*arguments))
    form = np.asarray(jax.jit(forced(function, rule, *arguments))(*arguments))
    assert 1e-5 < np.abs(form - plain).max() < off


def test_every_example_and_channel_has_its_scale() -> None:
    rule = "taps-as-int8-dots"
    function = convolution(2, "NHWC", window_strides=(1, 1), padding="SAME")
    x, w = inputs("NHWC", (8, 8), 32, (1, 1, 32, 8), "float32")
    x = jnp.concatenate([x, 1e-3 * x, 0 * x])
    w = w * jnp.logspace(-3, 3, 8)
    plain, form = (np.asarray(each(x, w)) for each in (function, forced(function, rule, x, w)))
    largest = np.abs(plain).max((1, 2), keepdims=True)
    assert (np.abs(form - plain) <= 0.03 * largest).all()


def test_what_does_not_match() -> None:
    found = {"taps-as-bf16-dots", "taps-as-int8-dots"}
    function = convolution(2, "NHWC", window_strides=(1, 1), padding="SAME")
    assert not found & set(applying(function, *inputs("NHWC", (8, 8), 8, (3, 3, 8, 8), "float32")))
    exact = convolution(2, "NHWC", window_strides=(1, 1), padding="SAME", precision="highest")
    assert not found & set(applying(exact, *inputs("NHWC", (8, 8), 32, (3, 3, 32, 8), "float32")))
