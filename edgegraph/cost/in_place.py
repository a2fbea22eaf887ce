"""Which ops may write their result over an operand, and which must, by XLA's rules.

An op that *must* was given an operand that it may destroy: XLA has copied it before wherever the
old contents are still needed. An op that *may* takes the memory of an operand that dies with it.

Source: openxla/xla, ``HloDataflowAnalysis::GetInPlaceInputOutputPairs`` and
``CanShareOperandBufferWithUser``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Alias, Instruction, Module, Shape


class InPlace:
    """Answers for one module; it looks into fusions."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def written_over(self, instruction: Instruction) -> tuple[Alias, ...]:
        """Name the operands that an op must write its result over."""
        if instruction.output_aliases:
            return instruction.output_aliases
        opcode = instruction.opcode
        if opcode == "fusion":
            return self._fusion_written_over(instruction)
        return _OVERWRITES.get(opcode, _nothing)(instruction)

    def may_share(self, user: Instruction, operand: int, shape: Shape, result: Shape) -> bool:
        """Return whether an op may write a result of shape `result` over a dying operand.

        Args:
            user: The op.
            operand: Position of an operand that is an array.
            shape: Its shape.
            result: Shape of the result, or of one of several.
        """
        if shape.dtype != result.dtype or shape.dimensions != result.dimensions:
            return False
        if shape.layout != result.layout or user.opcode == "copy":
            return False
        if user.opcode == "fusion":
            return self._fused_elementwise_on(user, operand)
        return _elementwise_on(user, operand)

    def _fusion_written_over(self, fusion: Instruction) -> tuple[Alias, ...]:
        instructions = self._module.computations[fusion.called[0]].instructions
        if not any(instruction.opcode in _OVERWRITES for instruction in instructions):
            return ()
        by_name = {instruction.name: instruction for instruction in instructions}
        root = by_name[self._module.computations[fusion.called[0]].root]
        sources: dict[tuple[int, ...], Instruction] = {(): root}
        if root.opcode == "tuple":
            sources = {(place,): by_name[name] for place, name in enumerate(root.operands)}
        found = []
        for index, source in sources.items():
            for pair in _OVERWRITES.get(source.opcode, _nothing)(source):
                number = by_name[source.operands[pair.operand]].parameter_number
                if number is not None and not pair.output_index:
                    found.append(Alias(output_index=index, operand=number))
        return tuple(found)

    def _fused_elementwise_on(self, fusion: Instruction, operand: int) -> bool:
        """Return whether a fusion reads each element of an operand only where it writes it."""
        followed: set[str] = set()
        for instruction in self._module.computations[fusion.called[0]].instructions:
            if instruction.parameter_number == operand:
                followed.add(instruction.name)
            elif not followed.isdisjoint(instruction.operands):
                if instruction.opcode != "tuple":
                    for position, name in enumerate(instruction.operands):
                        if name in followed and not _elementwise_on(instruction, position):
                            return False
                followed.add(instruction.name)
        return True


def _elementwise_on(user: Instruction, operand: int) -> bool:
    if user.opcode == "dynamic-update-slice":
        return operand == 0
    if user.opcode == "triangular-solve":
        return operand == 1
    return user.opcode in opcodes.ELEMENTWISE


def _nothing(instruction: Instruction) -> tuple[Alias, ...]:
    return ()


def _first(instruction: Instruction) -> tuple[Alias, ...]:
    return (Alias(operand=0),) if instruction.operands else ()


def _scatter(instruction: Instruction) -> tuple[Alias, ...]:
    """Pair results and operands: a scatter of n arrays takes these, the indices, n updates."""
    if instruction.shape.dtype != "tuple":
        return _first(instruction)
    count = min(len(instruction.operands) // 2, len(instruction.shape.elements))
    return tuple([Alias(output_index=(number,), operand=number) for number in range(count)])


_OVERWRITES: Mapping[str, Callable[[Instruction], tuple[Alias, ...]]] = {
    "dynamic-update-slice": _first,
    "scatter": _scatter,
    "set-dimension-size": _first,
}
