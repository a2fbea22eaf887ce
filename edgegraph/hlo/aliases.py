"""Which results are written into the memory of an operand or of a donated argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgegraph.errors import FormatError
from edgegraph.hlo.module import Alias, Instruction, Shape
from edgegraph.hlo.schema import Proto


def decode_output_aliases(proto: Proto) -> tuple[Alias, ...]:
    """Decode which operands an instruction writes its result over.

    Args:
        proto: The instruction's HloInstructionProto.
    """
    return tuple(
        [
            Alias(
                output_index=tuple(alias.output_shape_index),
                operand=alias.operand_index,
                operand_index=tuple(alias.operand_shape_index),
            )
            for alias in proto.output_operand_aliasing
        ]
    )


def decode_donations(proto: Proto, entry: Sequence[Instruction], root: str) -> tuple[Alias, ...]:
    """Decode which parts of the result are written over donated arguments.

    Args:
        proto: The module's HloModuleProto.
        entry: The instructions of the entry computation.
        root: Name of its root.

    Raises:
        FormatError: There is no such parameter, or no such part of it or of the result.
    """
    donations = tuple(
        [
            Alias(
                output_index=tuple(entry.output_shape_index),
                operand=entry.parameter_number,
                operand_index=tuple(entry.parameter_shape_index),
            )
            for entry in proto.input_output_alias.entries
        ]
    )
    if donations:
        parameters = {i.parameter_number: i.shape for i in entry if i.parameter_number is not None}
        result = next(i.shape for i in entry if i.name == root)
        check_aliases(
            f"HLO module {proto.name!r}: donation",
            donations,
            result,
            [parameters[number] for number in range(len(parameters))],
        )
    return donations


def check_aliases(
    where: str, aliases: Iterable[Alias], result: Shape, operands: Sequence[Shape]
) -> None:
    """Check that aliases point at parts that are there.

    Args:
        where: What to call it in an error.
        aliases: Of an instruction, or the donations of a module.
        result: Shape of the result.
        operands: Shapes of the operands, or of the parameters.

    Raises:
        FormatError: One does not.
    """
    for alias in aliases:
        if not 0 <= alias.operand < len(operands):
            raise FormatError(f"{where}: alias of operand {alias.operand}, which is not there")
        for shape, index in (
            (result, alias.output_index),
            (operands[alias.operand], alias.operand_index),
        ):
            part = shape
            for step in index:
                if not 0 <= step < len(part.elements):
                    raise FormatError(f"{where}: alias of part {list(index)} of a {shape}")
                part = part.elements[step]
