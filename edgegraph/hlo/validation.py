"""What has to hold in a computation before anything is computed from it.

XLA guarantees all of this for the modules it writes; a damaged or made-up file may break it,
and XLA itself then ends the process rather than raising an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgegraph.errors import FormatError
from edgegraph.hlo import opcodes
from edgegraph.hlo.attributes import check_aliases
from edgegraph.hlo.module import Computation, Instruction, Shape

MAX_NESTING = 200
"""Calls inside calls; real programs stay below 50."""

MAX_TAPS = 1 << 20
"""Size of a window along one axis; the largest global convolutions stay below."""

MAX_PAIRS = 1 << 24
"""Size of a window times that of the output along one axis, where both have to be walked over."""

_CALLED = {"fusion": 1, "call": 1, "async-start": 1, "while": 2}
"""How many computations these opcodes call."""

_OPERANDS = {
    **dict.fromkeys(opcodes.DOTS, 2),
    "broadcast": 1, "conditional": 1, "convolution": 2, "dynamic-update-slice": 2, "fft": 1,
    "get-tuple-element": 1, "reduce-window": 2, "scan": 1, "scatter": 3, "sort": 1, "topk": 1,
    "while": 1,
}  # fmt: skip
"""How many operands these opcodes have at least."""

_CHECKED = frozenset(_CALLED) | frozenset(_OPERANDS)


class Checker:
    """Checks computations one by one, callees before callers."""

    def __init__(self) -> None:
        self._parameters: dict[str, int] = {}
        self._depth: dict[str, int] = {}

    def check(self, computation: Computation) -> None:
        """Refuse a computation that contradicts itself; those it calls have been checked before."""
        name, instructions = computation.name, computation.instructions
        numbers = [i.parameter_number for i in instructions if i.parameter_number is not None]
        numbers.sort()
        if numbers != list(range(len(numbers))):
            raise FormatError(
                f"HLO computation {name!r}: its parameters are numbered {numbers[:8]},"
                f" not 0 to {len(numbers) - 1}"
            )
        self._parameters[name] = len(numbers)
        called = {callee for i in instructions if i.called for callee in i.called}
        self._depth[name] = 1 + max((self._depth[callee] for callee in called), default=0)
        if self._depth[name] > MAX_NESTING:
            raise FormatError(f"HLO computation {name!r}: calls nest deeper than {MAX_NESTING}")
        checked = [i for i in instructions if i.opcode in _CHECKED or i.output_aliases]
        shapes = {i.name: i.shape for i in instructions} if checked else {}
        for instruction in checked:
            if instruction.opcode in _CHECKED:
                self._check_instruction(instruction, [shapes[o] for o in instruction.operands])
            if instruction.output_aliases:
                check_aliases(
                    f"HLO {instruction.opcode} {instruction.name!r}",
                    instruction.output_aliases,
                    instruction.shape,
                    [shapes[operand] for operand in instruction.operands],
                )

    def _check_instruction(self, instruction: Instruction, operands: Sequence[Shape]) -> None:
        opcode, called = instruction.opcode, instruction.called
        if len(operands) < _OPERANDS.get(opcode, 0):
            raise _contradiction(instruction, f"it has {len(operands)} operands")
        if opcode in _CALLED and len(called) != _CALLED[opcode]:
            raise _contradiction(instruction, f"it calls {len(called)} computations")
        if opcode in ("fusion", "call", "async-start", "scan"):
            handed = [len(operands)]
        elif opcode in ("reduce-window", "scatter"):
            handed = [len(operands) - (opcode == "scatter")]  # all but the places
        elif opcode == "sort":
            handed = [2 * len(operands)] * len(called)
        elif opcode == "conditional":
            if not called:
                raise _contradiction(instruction, "it has no branches")
            handed = [1] * (len(operands) - 1)
        else:
            handed = [1] * len(called)
        if handed != [self._parameters[callee] for callee in called]:
            raise _contradiction(instruction, "operands and parameters do not match")
        _check_attributes(instruction, operands)


def _check_attributes(instruction: Instruction, operands: Sequence[Shape]) -> None:
    opcode = instruction.opcode
    if opcode == "get-tuple-element":
        index = instruction.tuple_index
        if index is None or not 0 <= index < len(operands[0].elements):
            raise _contradiction(instruction, f"its operand has no element {index}")
    elif opcode == "convolution" or opcode in opcodes.DOTS:
        _check_dimensions(instruction, operands[0], operands[1])
    elif opcode in ("scan", "sort"):
        rank = len(operands[0].dimensions)
        if len(instruction.dimensions) != 1 or not 0 <= instruction.dimensions[0] < rank:
            axes = list(instruction.dimensions)
            raise _contradiction(instruction, f"it runs along {axes} of {operands[0]}")


def _check_dimensions(instruction: Instruction, lhs: Shape, rhs: Shape) -> None:
    """Check that the dimension numbers of a dot or a convolution point at dimensions."""
    pairs: list[tuple[Shape, tuple[int, ...]]] = []
    dot, convolution = instruction.dot, instruction.convolution
    if dot is not None:
        pairs += [(lhs, dot.lhs_contracting), (lhs, dot.lhs_batch)]
        pairs += [(rhs, dot.rhs_contracting), (rhs, dot.rhs_batch), (rhs, dot.rhs_group)]
    if convolution is not None:
        spatial = convolution.input_spatial, convolution.kernel_spatial, convolution.output_spatial
        if any(len(dimensions) != len(instruction.window) for dimensions in spatial):
            raise _contradiction(instruction, "its window and its dimensions do not match")
        c = convolution
        pairs += [(lhs, (c.input_batch, c.input_feature, *spatial[0]))]
        pairs += [(rhs, (c.kernel_input_feature, c.kernel_output_feature, *spatial[1]))]
        pairs += [(instruction.shape, (c.output_batch, c.output_feature, *spatial[2]))]
    for shape, dimensions in pairs:
        rank = len(shape.dimensions)
        if any(not 0 <= dimension < rank for dimension in dimensions):
            raise _contradiction(
                instruction, f"dimension numbers {list(dimensions)} do not fit shape {shape}"
            )
    if convolution is not None:
        _check_window(instruction, [instruction.shape.dimensions[axis] for axis in spatial[2]])


def _check_window(instruction: Instruction, outputs: Sequence[int]) -> None:
    """Check that the steps and sizes of a convolution's window are some."""
    for axis, size in zip(instruction.window, outputs, strict=True):
        steps = axis.stride, axis.window_dilation, axis.base_dilation
        if min(steps) < 1 or not 0 <= axis.size <= MAX_TAPS:
            raise _contradiction(
                instruction,
                f"its window has size {axis.size}, stride {steps[0]} and dilations {steps[1]} and"
                f" {steps[2]}; expected 1 or more, and a size of at most {MAX_TAPS:,}",
            )
        if min(axis.stride, axis.base_dilation) > 1 and axis.size * size > MAX_PAIRS:
            raise _contradiction(
                instruction, f"its window of size {axis.size} steps over holes to {size} places"
            )


def _contradiction(instruction: Instruction, why: str) -> FormatError:
    return FormatError(f"HLO {instruction.opcode} {instruction.name!r}: {why}")
