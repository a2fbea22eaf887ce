"""Operations of one execution, where they are others than XLA counts for the op alone.

- A Fourier transform over several axes transforms along one after the other: 8 operations for
  each element and each of the *sum* of its passes, floor(log2 n) along an axis of n. XLA multiplies
  the passes of the axes. (8 is XLA's: 4 real multiply-adds, which is a complex multiplication.) Of
  real numbers, half of the result is the other half mirrored and not computed: the elements are
  those of the complex side. XLA takes those of the operand, so that a transform of real numbers
  costs twice what its inverse does.
- Before optimisation, a window over all that comes before (``cumsum`` and its like) is a prefix
  scan: n - 1 applications of its function along an axis of n. XLA counts n - 1 for each element.
- A sort compares n ceil(log2 n) times along an axis of n, as XLA has it of an array of one axis; of
  others XLA takes the number of all elements for n.
- `topk` compares as the library call that it becomes.
- A scan runs its function along an axis; XLA counts it once.
- XLA takes the groups of a ragged-dot for a dimension that it is summed over.
- Complex numbers: XLA counts one operation for one of complex numbers. In real ones, a product
  of two is 4 products and 2 sums, a sum is 2 sums. A multiply-add is 4 of those, so that products,
  solves and factorisations take 4 times what real ones do (LAPACK Working Note 41, section 2, has
  6 and 2); a division is 11: 6 products, 3 sums, 2 divisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgegraph.cost.xla_cost import XlaPrice
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Instruction, Module, Shape, WindowDimension

PER_MULTIPLY_ADD = 4
"""Real multiply-adds in one of complex numbers."""

_PER_OPERATION = {"add": 2, "subtract": 2, "negate": 2, "multiply": 6, "divide": 11}
"""Real operations in one of complex numbers."""

_PER_PASS = 8
"""Operations of an element in one pass of a Fourier transform, as XLA counts one."""


def is_complex(shape: Shape) -> bool:
    """Return whether an array holds complex numbers."""
    return shape.dtype in ("c64", "c128")


def operations(
    instruction: Instruction,
    operands: Sequence[Shape],
    macs: int,
    price: XlaPrice,
    module: Module,
) -> tuple[int, int]:
    """Return FLOPs and transcendentals of one execution of an op.

    Args:
        instruction: The op; no container and no custom call.
        operands: Shapes of its operands.
        macs: Its multiply-accumulates.
        price: What XLA says of it.
        module: What it stands in; one without a schedule is not optimised yet.
    """
    flops, transcendentals = price.flops, price.transcendentals
    match instruction.opcode:
        case "ragged-dot":
            return 2 * macs, transcendentals
        case "fft":
            passes = sum(length.bit_length() - 1 for length in instruction.fft_lengths if length)
            elements = min(operands[0].size, instruction.shape.size)
            return _PER_PASS * elements * passes, transcendentals
        case "sort":
            return sort_comparisons(operands[0], instruction.dimensions[0]), transcendentals
        case "topk":
            return comparisons(operands[0].size, instruction.shape), transcendentals
        case "scan":
            steps = operands[0].dimensions[instruction.dimensions[0]]
            return flops * steps, transcendentals * steps
        case "reduce-window" if not module.schedule:
            flops = _along(instruction.window, operands[0], flops)
            transcendentals = _along(instruction.window, operands[0], transcendentals)
    if operands and is_complex(operands[0]):
        flops *= _real_operations(instruction, module)
    return flops, transcendentals


def sort_comparisons(values: Shape, axis: int) -> int:
    """Return n ceil(log2 n) for each row of n that is sorted, what a merge sort takes at most."""
    return values.size * (max(1, values.dimensions[axis]) - 1).bit_length()


def comparisons(size: int, result: Shape) -> int:
    """Return n ceil(log2 k), what finding the k largest of n takes with a heap.

    Args:
        size: n, all rows together.
        result: Whose (first) array has k in its last dimension.
    """
    k = result.leaves()[0].dimensions[-1]
    return size * max(1, math.ceil(math.log2(max(k, 1))))


def _along(window: Sequence[WindowDimension], values: Shape, counted: int) -> int:
    """Return what prefix scans take of what XLA counts for the windows, which is prod - 1 each."""
    wide = [
        (axis, extent)
        for axis, extent in zip(window, values.dimensions, strict=False)
        if axis.size > 1
    ]
    if not wide or not values.size or not all(_is_prefix(*each) for each in wide):
        return counted
    extents = [extent for _, extent in wide]
    once = round(counted / ((math.prod(extents) - 1) * values.size))  # XLA's is a rounded product
    # With several axes, one scan after the other: n - 1 of n elements along each.
    return sum(once * (values.size // n) * (n - 1) for n in extents)


def _is_prefix(axis: WindowDimension, extent: int) -> bool:
    """Return whether a window ends or begins at each element and takes all on that side."""
    padding = {axis.padding_low, axis.padding_high}
    return (
        axis.size == extent
        and padding == {0, extent - 1}
        and axis.stride == axis.window_dilation == axis.base_dilation == 1
    )


def _real_operations(instruction: Instruction, module: Module) -> int:
    """Return how many real operations stand for one that XLA counts, of complex numbers."""
    if instruction.opcode in opcodes.OF_MULTIPLY_ADDS:
        return PER_MULTIPLY_ADD
    opcode = instruction.opcode
    if opcode in opcodes.APPLIERS and instruction.called:
        function = module.computations[instruction.called[-1]]
        opcode = next(each.opcode for each in function.instructions if each.name == function.root)
    return _PER_OPERATION.get(opcode, 1)
