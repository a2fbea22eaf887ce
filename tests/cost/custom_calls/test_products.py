"""Products and attention of GPU and CPU libraries, from HLO that XLA has made for such devices.

The instructions were compiled ahead of time, for a Jetson AGX Orin and a TPU v5e, and are cut
down to what the rules read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental import sparse

from edgegraph import xla
from edgegraph.cost.products import macs
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import WindowDimension
from tests.cost.custom_calls.calls import array, call, calls, compiled


def gemm(lhs: int, rhs: int, batch: tuple[int, ...] = ()) -> dict[str, Any]:
    dimensions = {
        "lhs_contracting_dimensions": [str(lhs)],
        "rhs_contracting_dimensions": [str(rhs)],
        "lhs_batch_dimensions": [str(number) for number in batch],
        "rhs_batch_dimensions": [str(number) for number in batch],
    }
    return {"gemm_backend_config": {"alpha_real": 1, "dot_dimension_numbers": dimensions}}


def test_cublas_matmul() -> None:
    found = call(
        "(f32[64,16], s8[4194304])", "f32[64,32] f32[32,16]", "__cublas$lt$matmul",
        config=gemm(1, 0),
    )  # fmt: skip
    assert found.cost.macs == 64 * 32 * 16
    assert found.cost.flops == 2 * 64 * 32 * 16
    assert found.cost.bytes_read == 4 * (64 * 32 + 32 * 16)
    assert found.cost.bytes_written == 4 * 64 * 16  # without the workspace


def test_cublas_batched_matmul_in_bf16_runs_on_bf16_units() -> None:
    found = call(
        "f32[4,64,16]", "bf16[4,64,32] bf16[4,16,32]", "__cublas$gemm", config=gemm(2, 2, (0,))
    )
    assert found.cost.macs == 4 * 64 * 32 * 16
    assert found.dtype == "bf16"


def test_cublas_fp8_matmul_with_scales_and_bias() -> None:
    found = call(
        "(bf16[64,16], s8[33554432])", "f8e4m3fn[64,32] f8e4m3fn[16,32] f32[] f32[] bf16[16]",
        "__cublas$lt$matmul$f8", config=gemm(1, 1),
    )  # fmt: skip
    assert found.cost.macs == 64 * 32 * 16
    assert found.dtype == "f8e4m3fn"
    assert found.cost.bytes_read == 64 * 32 + 16 * 32 + 4 + 4 + 32


def test_block_scaled_dot() -> None:
    found = call(
        "f32[2,64,48]", "f8e4m3fn[2,64,128] f8e4m3fn[2,48,128] f8e8m0fnu[2,64,4]"
        " f8e8m0fnu[2,48,4]", "__op$block_scaled_dot",
    )  # fmt: skip
    assert found.cost.macs == 2 * 64 * 48 * 128


# 3 x 3 kernel, stride 2, no padding, 8 features in and 12 out, batch 2: the three calls of a
# gradient, 8 x 8 outputs from 17 x 17 inputs.
STRIDED = "window={size=3x3 stride=2x2}, dim_labels=bf01_oi01->bf01,"


IMAGE, KERNEL, OUTPUT = "f32[2,8,17,17]", "f32[12,8,3,3]", "f32[2,12,8,8]"


@pytest.mark.parametrize(
    ("target", "result", "operands"),
    [
        ("__cudnn$convForward", OUTPUT, f"{IMAGE} {KERNEL}"),
        ("__cudnn$convBiasActivationForward", OUTPUT, f"{IMAGE} {KERNEL} f32[12]"),
        ("__cudnn$convBackwardInput", IMAGE, f"{OUTPUT} {KERNEL}"),
        ("__cudnn$convBackwardFilter", KERNEL, f"{IMAGE} {OUTPUT}"),
    ],
)
def test_cudnn_convolutions_of_a_gradient(target: str, result: str, operands: str) -> None:
    found = call(f"({result}, u8[512])", operands, target, STRIDED)
    products = 2 * 12 * 8 * 8 * 8 * 9
    assert (found.cost.macs, found.cost.flops) == (products, 2 * products)
    sizes = {IMAGE: 2 * 8 * 17 * 17, KERNEL: 12 * 8 * 9, OUTPUT: 2 * 12 * 8 * 8, "f32[12]": 12}
    assert found.cost.bytes_read == 4 * sum(sizes[operand] for operand in operands.split())
    assert found.cost.bytes_written == 4 * sizes[result]


def test_cudnn_padding_counts_as_macs_but_not_as_flops() -> None:
    found = call(
        "(f32[2,12,16,16], u8[0])", "f32[2,8,16,16] f32[12,8,3,3]", "__cudnn$convForward",
        "window={size=3x3 pad=1_1x1_1}, dim_labels=bf01_oi01->bf01,",
    )  # fmt: skip
    assert found.cost.macs == 2 * 12 * 8 * 16 * 16 * 9
    # Along each axis 3 x 16 pairs, two of them outside.
    assert found.cost.flops == 2 * 2 * 12 * 8 * 46 * 46


def test_cudnn_depthwise_convolution() -> None:
    found = call(
        "(f32[2,8,16,16], u8[0])", "f32[2,8,16,16] f32[8,1,3,3]", "__cudnn$convForward",
        "window={size=3x3 pad=1_1x1_1}, dim_labels=bf01_oi01->bf01, feature_group_count=8,",
    )  # fmt: skip
    assert found.cost.macs == 2 * 8 * 16 * 16 * 9


def test_cudnn_vectorised_int8_convolution() -> None:
    """In blocks of 32 features, which stand in a dimension of their own."""
    found = call(
        "(s8[2,3,16,16,32], u8[0])", "s8[2,2,16,16,32] s8[96,2,3,3,32]", "__cudnn$convForward",
        "window={size=3x3 pad=1_1x1_1}, dim_labels=bf01?_oi01?->bf01?,",
    )  # fmt: skip
    assert found.cost.macs == 2 * 96 * 64 * 16 * 16 * 9


AXES = st.builds(
    lambda inputs, size, stride, low, high, dilation: (
        inputs,
        WindowDimension(
            size=size,
            stride=stride,
            padding_low=low,
            padding_high=high,
            window_dilation=dilation,
        ),
    ),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 3),
).filter(
    lambda axis: (
        axis[0] + axis[1].padding_low + axis[1].padding_high
        > axis[1].window_dilation * (axis[1].size - 1)
    )
)


@given(axes=st.tuples(AXES, AXES), groups=st.integers(1, 3))
def test_cudnn_convolution_costs_what_xla_says_of_the_convolution(
    axes: tuple[tuple[int, WindowDimension], ...], groups: int
) -> None:
    sizes = [
        (inputs + w.padding_low + w.padding_high - w.window_dilation * (w.size - 1) - 1) // w.stride
        + 1
        for inputs, w in axes
    ]
    image = f"f32[2,{3 * groups},{axes[0][0]},{axes[1][0]}]"
    kernel = f"f32[{2 * groups},3,{axes[0][1].size},{axes[1][1].size}]"
    output = f"f32[2,{2 * groups},{sizes[0]},{sizes[1]}]"

    def each(text: str) -> str:
        return "x".join(text.format(w=w) for _, w in axes)

    attributes = (
        f"window={{size={each('{w.size}')} stride={each('{w.stride}')}"
        f" pad={each('{w.padding_low}_{w.padding_high}')}"
        f" rhs_dilate={each('{w.window_dilation}')}}},"
        f" dim_labels=bf01_oi01->bf01, feature_group_count={groups}"
    )
    found = call(output, f"{image} {kernel}", "__cudnn$convForward", attributes + ",").cost
    same = xla.parse_text(f"""HloModule m
    ENTRY e {{
      x = {image} parameter(0)
      k = {kernel} parameter(1)
      ROOT y = {output} convolution(x, k), {attributes}
    }}""")
    assert found.flops == xla.cost_analysis(same).get("flops", 0)
    module = decode(same)
    shapes = [i.shape for i in module.computations["e"].instructions]
    assert found.macs == macs(module.computations["e"].instructions[2], shapes[:2])


def attention(queries: int, keys: int, mask: str = "NO_MASK", window: int = 0) -> dict[str, Any]:
    """As JAX writes it for batch 2 and 4 heads."""
    scores = {"dimensions": ["2", "4", str(queries), str(keys)], "element_type": "BF16"}
    return {
        "cudnn_fmha_backend_config": {
            "intermediate_tensor_shape": scores,
            "mask_type": mask,
            "sliding_window_length": window,
        }
    }


QKV = "bf16[2,128,4,64] bf16[2,256,4,64] bf16[2,256,4,32]"


def test_fused_attention() -> None:
    result = "(bf16[2,128,4,32], f32[2,4,128], u8[0])"
    found = call(result, QKV, "__cudnn$fmhaSoftmax", config=attention(128, 256))
    scores = 2 * 4 * 128 * 256
    assert found.cost.macs == scores * (64 + 32)
    assert found.cost.flops == 2 * scores * (64 + 32)
    assert found.cost.transcendentals == scores
    assert found.dtype == "bf16"


def test_fused_attention_backwards_is_two_and_a_half_times_forwards() -> None:
    qkv = "bf16[2,128,4,64] bf16[2,128,4,64] bf16[2,128,4,64]"
    forward = call("(bf16[2,128,4,64], u8[0])", qkv, "__cudnn$fmhaSoftmax",
                   config=attention(128, 128))  # fmt: skip
    backward = call("(bf16[2,128,4,64], bf16[2,128,4,64], bf16[2,128,4,64], u8[0])", qkv,
                    "__cudnn$fmhaSoftmaxBackward", config=attention(128, 128))  # fmt: skip
    assert forward.cost.macs == 2 * 4 * 128 * 128 * 128
    assert 2 * (backward.cost.macs or 0) == 5 * forward.cost.macs
    # The scores again, and the gradients of queries and of keys: three products of size 64. The
    # gradients of the weights and of the values: two of size 32.
    uneven = call("(bf16[2,128,4,64], bf16[2,256,4,64], bf16[2,256,4,32], u8[0])", QKV,
                  "__cudnn$fmhaSoftmaxBackward", config=attention(128, 256))  # fmt: skip
    assert uneven.cost.macs == 2 * 4 * 128 * 256 * (3 * 64 + 2 * 32)


def test_masks_leave_scores_out() -> None:
    result = "(bf16[2,128,4,32], u8[0])"
    for mask, window, scores in [
        ("CAUSAL", 0, 128 * 129 // 2),
        ("PADDING_CAUSAL", 0, 128 * 129 // 2),
        ("PADDING", 0, 128 * 256),
        ("CAUSAL", 32, 32 * 33 // 2 + 96 * 32),
    ]:
        config = attention(128, 256, mask, window)
        found = call(result, QKV, "__cudnn$fmhaSoftmax", config=config)
        assert found.cost.transcendentals == 2 * 4 * scores


@pytest.mark.parametrize(("columns", "macs"), [((16,), 3 * 16), ((), 3)])
def test_a_sparse_matrix_multiplies_a_row_for_each_of_its_values(
    columns: tuple[int, ...], macs: int
) -> None:
    matrix = sparse.BCSR.fromdense(np.diag(np.arange(4, dtype=np.float32)))  # three values
    program = compiled(lambda a, b: a @ b, matrix, array(4, *columns))
    [found] = calls(program)["cpu_csr_sparse_dense_ffi"]
    assert found.cost.macs == macs
    assert found.cost.flops == 2 * macs
    # Values and columns, where the rows begin, the dense operand; the result.
    assert found.cost.bytes_read == 4 * (3 + 3 + 5) + 4 * 4 * (macs // 3)
    assert found.cost.bytes_written == 4 * 4 * (macs // 3)


def test_onednn_matmul() -> None:
    found = call("f32[6,8,16]", "f32[6,32,8] f32[6,32,16]", "__onednn$matmul",
                 config={"onednn_matmul_config": {"transpose_a": True}})  # fmt: skip
    assert found.cost.macs == 6 * 8 * 32 * 16


@pytest.mark.parametrize("excess", [0, 1])
def test_onednn_convolution_of_old_and_new_versions(excess: int) -> None:
    def numbers(*values: int) -> list[str]:
        return [str(value + excess) for value in values]

    spatial = {"spatial_dims": ["1", "2"]}
    config = {
        "onednn_conv_config": {
            "input": {"data": {"batch_dim": "0", "feature_dim": "3", **spatial}},
            "kernel": {
                "filter": {
                    "input_feature_dim": "2",
                    "output_feature_dim": "3",
                    "spatial_dims": ["0", "1"],
                }
            },
            "output": {"data": {"batch_dim": "0", "feature_dim": "3", **spatial}},
            "window": {
                "strides": numbers(1, 1),
                "pad_left": numbers(1, 1),
                "pad_right": numbers(1, 1),
                "window_dilations": numbers(1, 1),
            },
        }
    }
    found = call(
        "f32[2,16,16,12]", "f32[2,16,16,8] f32[3,3,8,12]", "__onednn$convolution", config=config
    )
    assert found.cost.macs == 2 * 12 * 8 * 16 * 16 * 9
    assert found.cost.flops == 2 * 2 * 12 * 8 * 46 * 46
