"""Finds work that fusions do once more: an op that several of them compute each for itself.

Two ops compute the same where they have the same opcode, shape and op_name, stand in different
fusions, and get the same values. What flows into a fusion is known by the name of what made it;
what is made inside is known by its own opcode, attributes and operands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgegraph.findings.evidence import Evidence, work_of
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_tree import Kernel
from edgegraph.results.analysis import OpRecord

if TYPE_CHECKING:
    from edgegraph.hlo.module import Instruction

Value = tuple[object, ...]
"""What tells values apart: equal for equal values."""


Occurrence = tuple[Kernel[OpRecord], OpRecord]
"""An op and the fusion that it stands in."""


def recomputed(evidence: Evidence, *, at_least: float) -> Sequence[Occurrence]:
    """Return every op that an earlier fusion computed already, with the fusion it stands in.

    Products are left out: XLA does not compute them twice.

    Args:
        evidence: What to look at.
        at_least: Work (FLOPs and transcendentals) below which it does not matter: where names and
            shapes show that there is less, nothing is given and the module is not looked at.
    """
    candidates = _candidates(evidence, at_least)
    if sum(work_of(op) for occurrences in candidates for _, op in occurrences[1:]) < at_least:
        return ()
    values = _Values(evidence)
    found: list[Occurrence] = []
    for occurrences in candidates:
        first: dict[object, Kernel[OpRecord]] = {}
        for kernel, op in occurrences:
            value = values.of(kernel, op)
            if value is not None:
                maker = first.setdefault((kernel.head.parent, value), kernel)
                if maker is not kernel:
                    found.append((kernel, op))
    return found


def _candidates(evidence: Evidence, at_least: float) -> Sequence[Sequence[Occurrence]]:
    """Group the ops that look alike and stand in more than one fusion."""
    # What is computed twice flows into something else inside the fusion.
    fusions = [kernel for kernel in evidence.kernels if kernel.is_fusion]
    if sum(work_of(k.head) - 2 * (k.head.macs or 0) for k in fusions) < at_least or not fusions:
        return ()
    # Even if all smaller ones were computed twice, together they would not matter.
    least = at_least / sum(len(kernel.ops) for kernel in fusions)
    alike: dict[tuple[str, str, str], list[Occurrence]] = {}
    for kernel in fusions:
        for op in kernel.ops:
            if (op.flops or 0) + (op.transcendentals or 0) > least and not op.macs:
                alike.setdefault((op.op_name, op.opcode, op.shape), []).append((kernel, op))
    return [
        occurrences for occurrences in alike.values() if occurrences[0][0] is not occurrences[-1][0]
    ]


class _Values:
    """Knows what flows where inside fusions."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._inside: dict[str, Mapping[str, int]] = {}
        self._numbers: dict[Value, int] = {}

    def of(self, kernel: Kernel[OpRecord], op: OpRecord) -> int | None:
        """Return a number that two ops share if they compute the same value.

        None for an op that the fusion does not hold itself, but another fusion inside it.
        """
        fusion = self._evidence.instruction(kernel.head)
        if fusion.name not in self._inside:
            self._inside[fusion.name] = self._number(fusion)
        return self._inside[fusion.name].get(op.name.rpartition("/")[2])

    def _number(self, fusion: Instruction) -> Mapping[str, int]:
        """Number the values in a fusion, operands before users as they stand there."""
        numbers: dict[str, int] = {}
        for instruction in self._evidence.module.computations[fusion.called[0]].instructions:
            value = _value(fusion, instruction, numbers)
            numbers[instruction.name] = self._numbers.setdefault(value, len(self._numbers))
        return numbers


def _value(fusion: Instruction, instruction: Instruction, numbers: Mapping[str, int]) -> Value:
    parameter = instruction.parameter_number
    if parameter is not None and parameter < len(fusion.operands):
        return ("flows in", fusion.operands[parameter])
    nested = instruction.called and instruction.opcode != "reduce"
    if instruction.opcode in opcodes.OPAQUE or nested:
        return ("made by", instruction.name)
    # These two have a value or a function, which is told apart by where it comes from.
    named = instruction.opcode in ("constant", "reduce")
    return (
        instruction.opcode,
        str(instruction.shape),
        instruction.dimensions,
        instruction.comparison,
        instruction.literal,
        instruction.tuple_index,
        instruction.op_name if named else "",
        *(numbers.get(operand, operand) for operand in instruction.operands),
    )
