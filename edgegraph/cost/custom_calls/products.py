"""Rules for matrix products, convolutions and attention of the libraries.

MACs count padding as if it were data, as published tables do (`edgegraph.cost.products`). FLOPs
leave it out: twice the products of an element of the kernel with an element of the input, as XLA
counts a convolution (``HloCostAnalysis::GetConvolutionFlops``). What a library does to the product
on the way out (bias, activation, scaling, a side input) is not counted, as in XLA's own GPU
analysis (``gpu_hlo_cost_analysis.cc``): the fused epilogue is free beside the product.

cuDNN's backward calls carry the window and the dimension numbers of the forward convolution,
and each of the three multiplies the same pairs of elements: the counts are the same.

With B batches, N heads, T queries, S keys and values, and heads of size H (keys) and V (values),
attention multiplies queries by keys (B N T S H MACs) and weights by values (B N T S V). The
backward pass has both again and the gradients of each operand of both: the scores are recomputed,
so it is 3 products of size H and 2 of size V, 2.5 times the forward pass where they are equal (Dao,
"FlashAttention-2", 2023, section 4.1). Its FLOPs are those of the products, as papers on attention
count; the exponentials of the softmax are the transcendentals. A causal mask leaves out the scores
above the diagonal, and a sliding window those that are further back, as the kernels do. Sequences
that are padded count in full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls.registry import (
    CustomCall,
    UnknownFormError,
    built_in,
    bytes_without_workspace,
    configuration,
    integer,
    integers,
    operand,
    result,
)
from edgegraph.cost.operations import PER_MULTIPLY_ADD, is_complex
from edgegraph.hlo.module import ConvolutionDimensions, Shape, WindowDimension


@built_in("__cublas$gemm", "__cublas$lt$matmul", "__cublas$lt$matmul$f8", "__cublas$lt$matmul$mx")
def cublas_matmul(call: CustomCall) -> Cost:
    """GEMM: output size times the extent of the contracted dimensions of the left operand."""
    dimensions = configuration(call, "gemm_backend_config", "dot_dimension_numbers")
    contracted = integers(dimensions.get("lhs_contracting_dimensions", []))
    lhs = operand(call, 0).dimensions
    if any(not 0 <= dimension < len(lhs) for dimension in contracted):
        raise UnknownFormError(f"{call.target} contracts dimensions {contracted} of {lhs}")
    return _product(call, math.prod(lhs[dimension] for dimension in contracted))


@built_in("__onednn$matmul")
def onednn_matmul(call: CustomCall) -> Cost:
    """MatMul of oneDNN: contracts the left operand's last dimension, or its last but one."""
    options = configuration(call, "onednn_matmul_config")
    lhs = operand(call, 0).dimensions
    place = 2 if options.get("transpose_a") and len(lhs) > 1 else 1
    if len(lhs) < place:
        raise UnknownFormError(f"{call.target}: its left operand is a scalar")
    return _product(call, lhs[-place])


@built_in("__op$block_scaled_dot")
def block_scaled_dot(call: CustomCall) -> Cost:
    """Dot of operands with scales per block: contracts the last dimension of both."""
    lhs, rhs = operand(call, 0).dimensions, operand(call, 1).dimensions
    if not lhs or not rhs or lhs[-1] != rhs[-1]:
        raise UnknownFormError(f"{call.target}: {lhs} and {rhs} have no common last dimension")
    return _product(call, lhs[-1])


@built_in("cpu_csr_sparse_dense_ffi")
def sparse_product(call: CustomCall) -> Cost:
    """Product of a sparse matrix (BCSR) and a dense one or a vector: a row of it for each value."""
    values, dense = operand(call, 0), operand(call, 3)
    return _multiply_adds(call, values.size * math.prod(dense.dimensions[1:]))


def _product(call: CustomCall, contracted: int) -> Cost:
    return _multiply_adds(call, result(call, 0).size * contracted)


def _multiply_adds(call: CustomCall, macs: int) -> Cost:
    if is_complex(operand(call, 0)):
        macs *= PER_MULTIPLY_ADD
    return call.cost(macs=macs, flops=2 * macs, bytes_written=bytes_without_workspace(call))


_MOST_TAPS = 1_000_000
"""Kernels that are longer along an axis are none."""


@built_in(*[f"__cudnn$conv{kind}" for kind in ("Forward", "ForwardGraph", "BiasActivationForward")])
def cudnn_forward(call: CustomCall) -> Cost:
    """Forward convolution: input and kernel give the output."""
    return _cudnn(call, operand(call, 0), operand(call, 1), result(call, 0))


@built_in("__cudnn$convBackwardInput")
def cudnn_backward_input(call: CustomCall) -> Cost:
    """Gradient of the input: the output's gradient and the kernel give it."""
    return _cudnn(call, result(call, 0), operand(call, 1), operand(call, 0))


@built_in("__cudnn$convBackwardFilter")
def cudnn_backward_filter(call: CustomCall) -> Cost:
    """Gradient of the kernel: the input and the output's gradient give it."""
    return _cudnn(call, operand(call, 0), result(call, 0), operand(call, 1))


@built_in("__onednn$convolution")
def onednn_convolution(call: CustomCall) -> Cost:
    """Convolution of oneDNN, which stands in its configuration instead of in the HLO."""
    options = configuration(call, "onednn_conv_config", "window")
    data = configuration(call, "onednn_conv_config", "input", "data")
    taps = configuration(call, "onednn_conv_config", "kernel", "filter")
    out = configuration(call, "onednn_conv_config", "output", "data")
    dimensions = ConvolutionDimensions(
        input_batch=integer(data.get("batch_dim", 0)),
        input_feature=integer(data.get("feature_dim", 0)),
        input_spatial=integers(data.get("spatial_dims")),
        kernel_input_feature=integer(taps.get("input_feature_dim", 0)),
        kernel_output_feature=integer(taps.get("output_feature_dim", 0)),
        kernel_spatial=integers(taps.get("spatial_dims")),
        output_batch=integer(out.get("batch_dim", 0)),
        output_feature=integer(out.get("feature_dim", 0)),
        output_spatial=integers(out.get("spatial_dims")),
    )
    shapes = operand(call, 0), operand(call, 1), result(call, 0)
    _check(dimensions, *shapes)
    return _convolution(call, dimensions, _onednn_window(options, dimensions, shapes), *shapes)


def _cudnn(call: CustomCall, image: Shape, kernel: Shape, output: Shape) -> Cost:
    dimensions = call.instruction.convolution
    if dimensions is None:
        raise UnknownFormError(f"{call.target} has no dimension numbers")
    _check(dimensions, image, kernel, output)
    return _convolution(call, dimensions, call.instruction.window, image, kernel, output)


def _check(dimensions: ConvolutionDimensions, image: Shape, kernel: Shape, output: Shape) -> None:
    """Check that the dimension numbers point at dimensions."""
    d = dimensions
    for shape, numbers in (
        (image, (d.input_batch, d.input_feature, *d.input_spatial)),
        (kernel, (d.kernel_input_feature, d.kernel_output_feature, *d.kernel_spatial)),
        (output, (d.output_batch, d.output_feature, *d.output_spatial)),
    ):
        if any(not 0 <= number < len(shape.dimensions) for number in numbers):
            raise UnknownFormError(f"dimension numbers {numbers} do not fit {shape}")
    if not len(d.input_spatial) == len(d.kernel_spatial) == len(d.output_spatial):
        raise UnknownFormError("input, kernel and output differ in their spatial dimensions")


def _convolution(
    call: CustomCall,
    dimensions: ConvolutionDimensions,
    window: Sequence[WindowDimension],
    image: Shape,
    kernel: Shape,
    output: Shape,
) -> Cost:
    """Multiply what every output element sums over by the number of output elements."""
    if len(window) != len(dimensions.kernel_spatial):
        raise UnknownFormError(f"{call.target}: its window does not fit its dimension numbers")
    outputs = [output.dimensions[axis] for axis in dimensions.output_spatial]
    inputs = [image.dimensions[axis] for axis in dimensions.input_spatial]
    if any(axis.size > _MOST_TAPS for axis in window):
        raise UnknownFormError(f"{call.target}: its window is too large to be one")
    # All dimensions but space and the kernel's output features, those too over which vectorised
    # layouts split the features.
    products = (output.size // (math.prod(outputs) or 1)) * (
        kernel.size
        // (kernel.dimensions[dimensions.kernel_output_feature] or 1)
        // (math.prod(kernel.dimensions[axis] for axis in dimensions.kernel_spatial) or 1)
    )
    pairs = math.prod(axis.size * size for axis, size in zip(window, outputs, strict=True))
    valid = math.prod(
        valid_pairs(axis, size_in, size_out)
        for axis, size_in, size_out in zip(window, inputs, outputs, strict=True)
    )
    return call.cost(
        macs=products * pairs,
        flops=2 * products * valid,
        bytes_written=bytes_without_workspace(call),
    )


def valid_pairs(window: WindowDimension, inputs: int, outputs: int) -> int:
    """Count along one axis the pairs of a tap and an output whose input is not padding."""
    if window.base_dilation != 1 or window.stride < 1:
        raise UnknownFormError("libraries convolve with a stride and without a dilated input")
    count = 0
    for tap in range(window.size):
        start = tap * window.window_dilation - window.padding_low
        first = max(0, -(start // window.stride))
        last = min(outputs - 1, (inputs - 1 - start) // window.stride)
        count += max(0, last - first + 1)
    return count


def _onednn_window(
    options: Mapping[str, Any], dimensions: ConvolutionDimensions, shapes: tuple[Shape, ...]
) -> tuple[WindowDimension, ...]:
    """Read the window; older versions of XLA wrote every number plus one.

    The version that it is shows in the sizes: only one reading gives the output's.
    """
    image, kernel, output = shapes
    columns = ("strides", "pad_left", "pad_right", "window_dilations")
    rows = list(zip(*[integers(options.get(name)) for name in columns], strict=False))
    axes = dimensions.input_spatial, dimensions.kernel_spatial, dimensions.output_spatial
    if len(rows) != len(axes[0]):
        raise UnknownFormError("a window of oneDNN does not fit its dimensions")
    for excess in (0, 1):
        window = []
        for row, axis_in, axis_kernel, axis_out in zip(rows, *axes, strict=True):
            stride, low, high, dilation = (number - excess for number in row)
            size = kernel.dimensions[axis_kernel]
            room = image.dimensions[axis_in] + low + high - dilation * (size - 1) - 1
            if stride > 0 and room // stride + 1 == output.dimensions[axis_out]:
                window.append(
                    WindowDimension(
                        size=size, stride=stride, window_dilation=dilation,
                        padding_low=low, padding_high=high,
                    )
                )  # fmt: skip
        if len(window) == len(rows):
            return tuple(window)
    raise UnknownFormError("a window of oneDNN does not give the size of its output")


_FORWARD = ("Softmax", "ScaleBiasSoftmax", "SoftmaxDropout", "ScaleBiasSoftmaxDropout")


@built_in(*[f"__cudnn$fmha{kind}" for kind in _FORWARD], "__cudnn$fmhaSoftmaxF8")
def forward(call: CustomCall) -> Cost:
    """Attention: two products for every score."""
    return _attention(call, key_products=1, value_products=1)


@built_in(*[f"__cudnn$fmha{kind}Backward" for kind in _FORWARD], "__cudnn$fmhaSoftmaxBackwardF8")
def backward(call: CustomCall) -> Cost:
    """Gradients of attention: five products for every score, which are recomputed."""
    return _attention(call, key_products=3, value_products=2)


def _attention(call: CustomCall, *, key_products: int, value_products: int) -> Cost:
    options = configuration(call, "cudnn_fmha_backend_config")
    scores = configuration(call, "cudnn_fmha_backend_config", "intermediate_tensor_shape")
    sizes = integers(scores.get("dimensions"))
    heads = [operand(call, number).dimensions for number in (0, 2)]
    if len(sizes) != 4 or not all(heads):
        raise UnknownFormError(f"{call.target}: scores of shape {sizes}")
    batch, head_count, queries, keys = sizes
    causal = "CAUSAL" in str(options.get("mask_type", ""))
    reach = integer(options.get("sliding_window_length", 0))
    computed = batch * head_count * _scores(queries, keys, causal=causal, reach=reach)
    key_size, value_size = (dimensions[-1] for dimensions in heads)
    macs = computed * (key_products * key_size + value_products * value_size)
    return call.cost(
        macs=macs,
        flops=2 * macs,
        transcendentals=computed,
        bytes_written=bytes_without_workspace(call),
    )


def _scores(queries: int, keys: int, *, causal: bool, reach: int) -> int:
    """Count the pairs of a query and a key that may see each other."""
    if not causal:
        return queries * keys
    seen = _below_diagonal(queries, keys)
    return seen - _below_diagonal(queries - reach, keys) if reach > 0 else seen


def _below_diagonal(queries: int, keys: int) -> int:
    """Sum min(i, keys) for i from 1 to `queries`."""
    rising = max(0, min(queries, keys))
    return rising * (rising + 1) // 2 + max(0, queries - rising) * keys
