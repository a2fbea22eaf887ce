"""Multiply-accumulates of dots and convolutions, counted as papers count them.

A MAC is one fused multiply-add. Padding counts as if it were data, since a published table
multiplies the output's size by the kernel's; XLA's FLOPs leave padding out. The holes that
dilating the input makes (transposed convolutions, input gradients of strided ones) are no
work in either count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgegraph.hlo.module import Instruction, Shape, WindowDimension


def macs(instruction: Instruction, operands: Sequence[Shape]) -> int:
    """Count the multiply-accumulates of one execution of `instruction`.

    Args:
        instruction: Any HLO instruction.
        operands: Shapes of its operands, by position.

    Returns:
        MACs of a dot or a convolution; 0 for every other opcode.

    Example:
        A dense layer of 3136 inputs and 256 outputs at batch 32:

        >>> from edgegraph.hlo.module import DotDimensions
        >>> dense = Instruction(
        ...     name="dot", opcode="dot", shape=Shape(dtype="f32", dimensions=(32, 256)),
        ...     dot=DotDimensions(lhs_contracting=(1,), rhs_contracting=(0,),
        ...                       lhs_batch=(), rhs_batch=()))
        >>> macs(dense, [Shape(dtype="f32", dimensions=(32, 3136)),
        ...              Shape(dtype="f32", dimensions=(3136, 256))])
        25690112
    """
    if instruction.dot is not None:
        dot, rhs = instruction.dot, operands[1].dimensions
        met = {*dot.rhs_batch, *dot.rhs_contracting, *dot.rhs_group}
        columns = [extent for d, extent in enumerate(rhs) if d not in met]
        return operands[0].size * math.prod(columns)
    if instruction.opcode == "convolution" and instruction.convolution is not None:
        return _convolution_macs(instruction, operands[1])
    return 0


def _convolution_macs(instruction: Instruction, kernel: Shape) -> int:
    """MACs = batch x output features x input features per group x (kernel, output) pairs."""
    dimensions = instruction.convolution
    assert dimensions is not None
    output = instruction.shape.dimensions
    pairs = math.prod(
        _pairs(window, output[axis])
        for window, axis in zip(instruction.window, dimensions.output_spatial, strict=True)
    )
    return (
        output[dimensions.output_batch]
        * output[dimensions.output_feature]
        * kernel.dimensions[dimensions.kernel_input_feature]
        * pairs
    )


def _pairs(window: WindowDimension, output_size: int) -> int:
    """Count the (kernel, output) positions along one axis that do not fall into a hole."""
    holes = window.base_dilation
    if holes == 1:
        return window.size * output_size
    return sum(
        (position * window.stride + tap * window.window_dilation - window.padding_low) % holes == 0
        for tap in range(window.size)
        for position in range(output_size)
    )
