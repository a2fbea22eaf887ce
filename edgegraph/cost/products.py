"""Products: their multiply-accumulates, and the dtype and precision they multiply in.

A MAC is one fused multiply-add. Padding counts as if it were data, since a published table
multiplies the output's size by the kernel's; XLA's FLOPs leave padding out. A transposed
convolution is counted by its input, every element of which meets the whole kernel: the holes that
dilating it makes are no work in either count. Both gradients of a convolution have the MACs of
the convolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import repeat

from msgspec import Struct

from edgegraph.cost.cost import Cost
from edgegraph.cost.operations import PER_MULTIPLY_ADD, is_complex
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import (
    BITS_BY_DTYPE,
    ConvolutionDimensions,
    Instruction,
    Shape,
    WindowDimension,
    dtype_family,
)
from edgegraph.hlo.op_name import parse_op_name


def macs(instruction: Instruction, operands: Sequence[Shape]) -> int:
    """Count the multiply-accumulates of one execution.

    They are those of a dot (ragged or scaled too), of a convolution, or of the multiplication that
    XLA makes of a small dot, followed by a sum, under the dot's op_name; 0 for all others. Of
    complex numbers they are those of the real ones that these are made of.
    """
    each = PER_MULTIPLY_ADD if operands and is_complex(operands[0]) else 1
    if instruction.dot is not None:
        dot, rhs = instruction.dot, operands[1].dimensions
        met = {*dot.rhs_batch, *dot.rhs_contracting, *dot.rhs_group}
        columns = [extent for d, extent in enumerate(rhs) if d not in met]
        return each * operands[0].size * math.prod(columns)
    if instruction.opcode == "convolution" and instruction.convolution is not None:
        return each * _convolution_macs(instruction, operands[0], operands[1])
    if instruction.opcode == "multiply" and instruction.op_name.endswith("/dot_general"):
        return each * instruction.shape.size
    return 0


def _convolution_macs(instruction: Instruction, image: Shape, kernel: Shape) -> int:
    """MACs = batch x output features x input features per group x pairs along each axis."""
    dimensions = instruction.convolution
    assert dimensions is not None
    output = instruction.shape.dimensions
    inputs = [image.dimensions[axis] for axis in dimensions.input_spatial]
    outputs = [output[axis] for axis in dimensions.output_spatial]
    role = _role(instruction, dimensions, outputs)
    pairs = math.prod(map(_pairs, instruction.window, inputs, outputs, repeat(role)))
    return (
        output[dimensions.output_batch]
        * output[dimensions.output_feature]
        * kernel.dimensions[dimensions.kernel_input_feature]
        * pairs
    )


def _role(
    instruction: Instruction, dimensions: ConvolutionDimensions, outputs: Sequence[int]
) -> str:
    """Return what a convolution makes: ``output``, ``input gradient`` or ``weight gradient``.

    For the gradient of the weights, that of the output takes the place of the kernel, and is
    larger than the result, as a rule; JAX writes it with batch and features exchanged, which XLA
    may undo, or in groups of the batch. Where that leaves it open, holes in what is convolved
    tell: a stride makes them, on the way to the gradient of the input.
    """
    is_backward = parse_op_name(instruction.op_name).phase == "backward"
    has_holes = any(axis.base_dilation > 1 for axis in instruction.window)
    is_exchanged = dimensions.input_batch > dimensions.input_feature
    window = math.prod(axis.size for axis in instruction.window)
    if is_backward and (is_exchanged or instruction.batch_group_count > 1):
        return "weight gradient"
    if window > math.prod(outputs) and not (is_backward and has_holes):
        return "weight gradient"
    return "input gradient" if is_backward else "output"


def _pairs(window: WindowDimension, inputs: int, outputs: int, role: str) -> int:
    """Count the products along one axis: (kernel, output) positions of the forward convolution.

    In the gradient of its input, its output stands where the input was. So it does in a
    transposed convolution, which is such a gradient.
    """
    holes = window.base_dilation
    if holes > 1 and window.stride > 1:
        steps = range(0, outputs * window.stride, window.stride)
        taps = range(0, window.size * window.window_dilation, window.window_dilation)
        return sum((step + tap - window.padding_low) % holes == 0 for step in steps for tap in taps)
    if holes > 1:
        return inputs * (outputs if role == "weight gradient" else window.size)
    if role == "input gradient" and window.stride == 1:
        return inputs * window.size
    return outputs * window.size


_PRECISION = re.compile(r'"operand_precision":\[([^]]*)\]')
_ALGORITHM = re.compile(r'"algorithm":"ALG_(\w+)"')
_EXACTNESS = {"default": 0, "high": 1, "highest": 2}


class ComputeType(Struct, frozen=True, gc=False):
    """What an op computes in, as the program names it.

    Attributes:
        dtype: Of a product that of its wider operand, else that of the result.
        values: The narrower dtype that a product's operands were converted from in its kernel.
        precision: Of a product ``default``, ``high``, ``highest``, or the algorithm asked for
            (``dot_bf16_bf16_f32_x3``); None where no unit for matrices computes.
    """

    dtype: str
    values: str | None = None
    precision: str | None = None


def compute_type(
    instruction: Instruction,
    operands: Sequence[Shape],
    cost: Cost,
    fused: Mapping[str, Instruction] = {},
    *,
    element_by_element: bool = False,
) -> ComputeType:
    """Find out what an op computes in; a custom call whose cost has MACs is a product.

    `fused` are the instructions of its fusion by name: outside of fusions a conversion is a kernel
    of its own. `element_by_element`: as XLA computes small products that it fuses into loops.
    """
    product = instruction.opcode in opcodes.PRODUCTS
    product |= instruction.opcode == "custom-call" and bool(cost.macs)
    if not operands or not product:
        return result_type(instruction.shape)
    # What follows the two are scales, sizes of groups, biases.
    dtype = max((operand.dtype for operand in operands[:2]), key=_bits)
    if element_by_element:
        return ComputeType(dtype)
    values = None
    if fused:
        source = max((_source(name, fused) for name in instruction.operands[:2]), key=_bits)
        values = source if _bits(source) < _bits(dtype) else None
    return ComputeType(dtype, values, _precision(instruction))


def result_type(shape: Shape) -> ComputeType:
    """Return the dtype of an op that is no product: that of its (first) result."""
    if shape.dtype != "tuple":
        return _of_dtype(shape.dtype)
    leaves = shape.leaves()
    return _of_dtype(leaves[0].dtype if leaves else "token")


@cache
def _of_dtype(dtype: str) -> ComputeType:
    return ComputeType(dtype)


def _precision(instruction: Instruction) -> str:
    """Read how exact a product is to be; libraries are told in their configuration."""
    if instruction.precision is not None:
        return instruction.precision
    config = instruction.backend_config if instruction.opcode == "custom-call" else ""
    algorithm = _ALGORITHM.search(config)
    if algorithm is not None and algorithm[1] != "UNSET":
        return algorithm[1].lower()
    levels = _PRECISION.search(config)
    told = [] if levels is None else levels[1].lower().replace('"', "").split(",")
    return min(told, key=lambda level: _EXACTNESS.get(level, 0), default="default")


def _source(name: str, fused: Mapping[str, Instruction]) -> str:
    """Follow a value back over what keeps it, and return the narrowest dtype that it had."""
    narrowest = fused[name].shape.dtype
    while fused[name].opcode in opcodes.SAME_VALUES and fused[name].operands:
        before = fused[name].operands[0]
        dtype = fused[before].shape.dtype
        if dtype_family(dtype) != dtype_family(narrowest):
            break  # no integer unit serves floats
        narrowest = min(narrowest, dtype, key=_bits)
        name = before
    return narrowest


def _bits(dtype: str) -> int:
    return BITS_BY_DTYPE.get(dtype, 0)
