"""The layers that the zoo's linen networks are built of; `models.layers` in linen."""

from __future__ import annotations

from flax import linen as nn


def conv(
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    bias: bool = True,
    dtype: str,
    name: str,
) -> nn.Conv:
    """Make a square convolution; by default an odd kernel at stride 1 keeps the image's size."""
    return nn.Conv(
        outputs,
        (kernel, kernel),
        strides=stride,
        padding=(kernel - 1) // 2 if padding is None else padding,
        feature_group_count=groups,
        use_bias=bias,
        dtype=dtype,
        param_dtype=dtype,
        name=name,
    )


def dense(outputs: int, *, dtype: str, name: str) -> nn.Dense:
    """Make a dense layer over the last dimension."""
    return nn.Dense(outputs, dtype=dtype, param_dtype=dtype, name=name)
