"""What a kernel does, in the words of a calibration's table: kinds, sizes and amounts of work."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from msgspec import Struct

from edgegraph.device.kernel_rates import (
    convolution_kind,
    function_kind,
    loop_kind,
    value_kind,
)
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Instruction, Shape, dtype_family
from edgegraph.results.records import OpRecord

_LAPACK = ("lapack_", "blas_")
"""How the names of what the CPU calls of LAPACK begin."""

_LEAST_SOLVED = 64
"""FLOPs of the smallest call of LAPACK that a calibration times, as long as any smaller takes."""


class Work(Struct, frozen=True, gc=False):
    """The work of all executions of one op; amount 0 where moving its data is all there is to it.

    `kind`, `dtype` and `sizes` are as in `edgegraph.device.kernel_rates.KernelRate`.
    """

    kind: str
    dtype: str
    sizes: tuple[int, int, int] = (1, 1, 1)
    amount: float = 0.0


def work_of(node: Node, record: OpRecord, head: Instruction, operands: Sequence[Shape]) -> Work:
    """Return what an op computes; `head` is its kernel, a fusion or the op itself."""
    instruction, times = node.instruction, record.executions or 1
    dtype = instruction.shape.dtype
    function = function_kind(instruction.opcode, dtype)
    if function is not None:
        values = instruction.shape.size
        return Work(function, dtype, (values, 1, 1), float(values * times))
    flops = record.flops or 0
    if record.macs and flops:
        found = product_sizes(instruction, operands)
        if found is not None:
            kind, sizes = found
            loop = loop_kind(instruction, head) if min(sizes[:2]) > 1 else None
            return Work(loop or kind, record.dtype or "f32", sizes, float(flops))
    kind, amount = "", 0
    if instruction.opcode in ("fft", "sort"):
        kind, amount = instruction.opcode, flops
    elif (instruction.custom_call_target or "").startswith(_LAPACK):
        kind, amount = "lapack", max(flops, times * _LEAST_SOLVED)
    elif instruction.opcode in opcodes.OF_VALUES and record.transcendentals:
        kind, amount = value_kind(instruction.opcode), record.transcendentals
    elif instruction.opcode in opcodes.OF_VALUES:
        kind, amount = _arithmetic_kind(instruction, head), flops
    return Work(kind, dtype, (max(1, amount // times), 1, 1), float(amount))


def _arithmetic_kind(instruction: Instruction, head: Instruction) -> str:
    if head.fusion_kind == "kCustom":
        return "library-arithmetic"
    divides = instruction.opcode == "divide" and dtype_family(instruction.shape.dtype) == "f"
    return "divide" if divides else "arithmetic"


def move_kind(ops: Sequence[tuple[Node, OpRecord]]) -> str:
    """Name the kind of kernel that moves as much data as these ops, in the same way."""
    if any(record.macs and record.flops for _, record in ops):
        return "reduction"  # which reads much and writes little, as products do
    found = [node.opcode for node, _ in ops]
    if any(opcode in opcodes.WINDOWED for opcode in found):
        return "pooling"
    if "reduce" in found:
        return "reduction"
    # What keeps the order of its elements moves as what computes on them.
    return "copy" if any(opcode in opcodes.REORDERINGS for opcode in found) else "elementwise"


def product_sizes(
    instruction: Instruction, operands: Sequence[Shape]
) -> tuple[str, tuple[int, int, int]] | None:
    """See a dot or convolution as a matrix product: kind, and rows, columns and depth."""
    result = max(1, instruction.shape.size)
    if instruction.opcode in opcodes.DOTS and instruction.dot is not None and operands:
        left, dims = operands[0].dimensions, instruction.dot
        depth = prod(left[i] for i in dims.lhs_contracting)
        batch = prod(left[i] for i in dims.lhs_batch)
        rows = max(1, operands[0].size // max(1, depth * batch))
        return "dot", (rows, max(1, result // (rows * batch)), depth)
    numbers = instruction.convolution
    if instruction.opcode == "convolution" and numbers is not None and len(operands) > 1:
        kernel = operands[1].dimensions
        depth = prod(kernel[i] for i in numbers.kernel_spatial)
        depth *= kernel[numbers.kernel_input_feature]
        columns = instruction.shape.dimensions[numbers.output_feature]
        kind = convolution_kind(
            instruction.feature_group_count, kernel[numbers.kernel_input_feature]
        )
        return kind, (max(1, result // max(1, columns)), columns, depth)
    return None
