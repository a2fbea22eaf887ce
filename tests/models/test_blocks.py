"""The single blocks, against arithmetic by hand."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import numpy as np
import pytest

from models import blocks
from tests.models.macs import products
from tests.models.zoo import build, count

PIXELS = 56 * 56

# Parameters, MACs, and the output's shape at batch 2, at each block's default sizes.
# A convolution with batch normalisation has a scale and an offset for each output channel.
EXPECTED: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "conv": (9 * 64 * 64 + 64, PIXELS * 9 * 64 * 64, (2, 56, 56, 64)),
    "pointwise_conv": (256 * 64 + 64, PIXELS * 256 * 64, (2, 56, 56, 64)),
    "grouped_conv": (9 * 4 * 128 + 128, PIXELS * 9 * 4 * 128, (2, 56, 56, 128)),
    "depthwise_conv": (9 * 144 + 144, PIXELS * 9 * 144, (2, 56, 56, 144)),
    "dilated_conv": (9 * 64 * 64 + 64, PIXELS * 9 * 64 * 64, (2, 56, 56, 64)),
    # As a convolution over the image with holes, whose taps count like padding.
    "transposed_conv": (16 * 64 * 32 + 32, PIXELS * 16 * 64 * 32, (2, 56, 56, 32)),
    "depthwise_separable": (
        9 * 128 + 128 * 128 + 4 * 128,
        PIXELS * (9 * 128 + 128 * 128),
        (2, 56, 56, 128),
    ),
    "inverted_residual": (
        24 * 144 + 9 * 144 + 144 * 24 + 2 * (144 + 144 + 24),
        PIXELS * (24 * 144 + 9 * 144 + 144 * 24),
        (2, 56, 56, 24),
    ),
    "residual_basic": (2 * (9 * 64 * 64 + 2 * 64), PIXELS * 2 * 9 * 64 * 64, (2, 56, 56, 64)),
    "residual_bottleneck": (
        256 * 64 + 9 * 64 * 64 + 64 * 256 + 2 * (64 + 64 + 256),
        PIXELS * (256 * 64 + 9 * 64 * 64 + 64 * 256),
        (2, 56, 56, 256),
    ),
    "squeeze_excite": (240 * 10 + 10 + 10 * 240 + 240, 2 * 240 * 10, (2, 28, 28, 240)),
    "dense": (1024 * 1024 + 1024, 1024 * 1024, (2, 1024)),
    "feed_forward": (2 * 768 * 3072 + 3072 + 768, 196 * 2 * 768 * 3072, (2, 196, 768)),
    "mixer_block": (
        (2 * 196 * 256 + 256 + 196) + (2 * 512 * 2048 + 2048 + 512) + 2 * 2 * 512,
        512 * 2 * 196 * 256 + 196 * 2 * 512 * 2048,
        (2, 196, 512),
    ),
    "attention": (
        4 * (768 * 768 + 768),
        197 * 4 * 768 * 768 + 2 * 197 * 197 * 768,
        (2, 197, 768),
    ),
    "max_pool": (0, 0, (2, 56, 56, 64)),
    "avg_pool": (0, 0, (2, 28, 28, 64)),
    "global_pool": (0, 0, (2, 512)),
    "batch_norm": (2 * 64, 0, (2, 56, 56, 64)),
    "layer_norm": (2 * 768, 0, (2, 197, 768)),
    # One scale for each output.
    "int8_dense": (1024 * 1024 + 1024, 1024 * 1024, (2, 1024)),
    "int8_conv": (9 * 64 * 64 + 64, PIXELS * 9 * 64 * 64, (2, 56, 56, 64)),
}


def test_every_block_is_expected_here() -> None:
    functions = {
        name
        for name, function in inspect.getmembers(blocks, inspect.isfunction)
        if function.__module__ == blocks.__name__ and not name.startswith("_")
    }
    assert functions == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_parameters_macs_and_shape(name: str) -> None:
    params, macs, shape = EXPECTED[name]
    workload = build(f"models.blocks:{name}")
    assert workload.name == name
    call = workload.call(2)
    assert count(call.abstract[0]) == params
    assert jax.eval_shape(call.function, *call.abstract).shape == shape
    assert sum(product.macs for product in products(workload)) == macs


@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.startswith("int8")])
def test_bfloat16_goes_in_and_comes_out(name: str) -> None:
    call = build(f"models.blocks:{name}", dtype="bfloat16").call(1)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(call.abstract[0])} <= {"bfloat16"}
    assert jax.eval_shape(call.function, *call.abstract).dtype == "bfloat16"


@pytest.mark.parametrize("name", ["int8_dense", "int8_conv"])
def test_int8_operands_are_summed_in_int32(name: str) -> None:
    (product,) = products(build(f"models.blocks:{name}"))
    assert (product.operands, product.result) == (("int8", "int8"), "int32")


def test_int8_dense_rounds_the_exact_sum() -> None:
    call = blocks.int8_dense(inputs=64, outputs=8).call(4)
    params, state, x = call.concrete()
    sums = np.asarray(x, np.int64) @ np.asarray(params["kernel"], np.int64)
    expected = np.clip(np.round(sums * np.asarray(params["scale"], np.float64)), -127, 127)
    result: Any = jax.jit(call.function)(params, state, x)
    assert result.dtype == "int8"
    assert np.abs(expected).max() > 1
    assert np.abs(np.asarray(result, np.int64) - expected).max() <= 1  # a tie may round otherwise
