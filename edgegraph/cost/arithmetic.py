"""What a product multiplies: the dtype of its operands, where it comes from, how exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from msgspec import Struct

from edgegraph.cost.cost import Cost
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import BITS_BY_DTYPE, Instruction, Shape

_PRECISION = re.compile(r'"operand_precision":\[([^]]*)\]')
_ALGORITHM = re.compile(r'"algorithm":"ALG_(\w+)"')
_EXACTNESS = {"default": 0, "high": 1, "highest": 2}


class Multiplies(Struct, frozen=True, gc=False):
    """The dtype that an op computes in, as the program names it.

    Attributes:
        dtype: Of a product that of its wider operand, else that of the result.
        values: A narrower dtype that the operands of a product were converted from, in the same
            kernel, or None.
        precision: Of a product ``default``, ``high``, ``highest``, or the algorithm that was asked
            for (``dot_bf16_bf16_f32_x3``); None for every other op, and for a product that is
            computed element by element, on no unit for matrices.
    """

    dtype: str
    values: str | None = None
    precision: str | None = None


def multiplies(
    instruction: Instruction,
    operands: Sequence[Shape],
    cost: Cost,
    beside: Mapping[str, Instruction],
    *,
    element_by_element: bool = False,
) -> Multiplies:
    """Find out what an op computes in.

    Args:
        instruction: The op.
        operands: Shapes of its operands.
        cost: What it costs: a custom call with MACs is a product.
        beside: The instructions of its fusion by name; empty outside of fusions, where a
            conversion is a kernel of its own.
        element_by_element: Whether its kernel computes each element of the result by itself, as
            XLA does with small products that it fuses into loops.
    """
    if not operands or not (is_product(instruction) or cost.macs):
        return elementwise(instruction.shape)
    # What follows the two are scales, sizes of groups, biases.
    dtype = _wider([operand.dtype for operand in operands[:2]])
    if element_by_element:
        return Multiplies(dtype)
    values = None
    if beside:
        source = _wider([_source(name, beside) for name in instruction.operands[:2]])
        values = source if _bits(source) < _bits(dtype) else None
    return Multiplies(dtype, values, _precision(instruction))


def elementwise(shape: Shape) -> Multiplies:
    """Return the dtype of an op that is no product: that of its (first) result."""
    if shape.dtype != "tuple":
        return _of_dtype(shape.dtype)
    leaves = shape.leaves()
    return _of_dtype(leaves[0].dtype if leaves else "token")


@cache
def _of_dtype(dtype: str) -> Multiplies:
    return Multiplies(dtype)


def is_product(instruction: Instruction) -> bool:
    """Return whether an op is a dot or a convolution; some custom calls are, too."""
    return instruction.opcode in opcodes.PRODUCTS


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


def _source(name: str, beside: Mapping[str, Instruction]) -> str:
    """Follow a value back over what keeps it, and return the narrowest dtype that it had."""
    narrowest = beside[name].shape.dtype
    while beside[name].opcode in opcodes.SAME_VALUES and beside[name].operands:
        before = beside[name].operands[0]
        dtype = beside[before].shape.dtype
        if _family(dtype) != _family(narrowest):
            break
        narrowest = min(narrowest, dtype, key=_bits)
        name = before
    return narrowest


def _family(dtype: str) -> str:
    """Return the family of a dtype: no integer unit serves floats."""
    return {"b": "f", "u": "s"}.get(dtype[0], dtype[0])


def _wider(dtypes: Sequence[str]) -> str:
    return max(dtypes, key=_bits)


def _bits(dtype: str) -> int:
    return BITS_BY_DTYPE.get(dtype, 0)
