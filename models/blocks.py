"""Single building blocks, each a Workload of its own, with sizes as parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import nnx

import edgegraph as eg
from models import layers


def _block(
    name: str, build: Callable[[nnx.Rngs], Any], input_shape: tuple[int, ...], dtype: str
) -> eg.Workload:
    return eg.Workload.from_flax(
        lambda: build(nnx.Rngs(0)), input_shape=input_shape, dtype=dtype, name=name
    )


def conv(
    inputs: int = 64,
    outputs: int = 64,
    kernel: int = 3,
    size: int = 56,
    stride: int = 1,
    dtype: str = "float32",
) -> eg.Workload:
    """Run a convolution on images of `size` x `size` pixels."""
    return _block(
        "conv",
        lambda rngs: layers.conv(inputs, outputs, kernel, stride=stride, dtype=dtype, rngs=rngs),
        (size, size, inputs),
        dtype,
    )


def dense(inputs: int = 1024, outputs: int = 1024, dtype: str = "float32") -> eg.Workload:
    """Run a dense layer on a vector."""
    return _block(
        "dense",
        lambda rngs: layers.dense(inputs, outputs, dtype=dtype, rngs=rngs),
        (inputs,),
        dtype,
    )
