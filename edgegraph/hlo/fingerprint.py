"""Telling modules that do the same from modules that do not."""

from __future__ import annotations

from hashlib import sha256

from edgegraph.hlo import schema
from edgegraph.hlo.module import Module

_IDENTITY = (
    "name",
    "id",
    "metadata",
    "operand_ids",
    "control_predecessor_ids",
    "called_computation_ids",
)
"""Fields that name an instruction and others, or say where it was written."""


def module_digest(module: Module) -> str:
    r"""Return a digest of what a module does: alike for modules that differ in names only.

    Names, ids, source positions and op_names are left out; operands and called computations
    count by position, in the order of execution where the module is scheduled.

    Args:
        module: A decoded module that carries its serialized form.

    Returns:
        A hexadecimal digest.

    Example:
        >>> from edgegraph import xla
        >>> from edgegraph.hlo.decode import decode
        >>> text = "HloModule m\nENTRY e { x = s8[4] parameter(0)\nROOT NAME = s8[4] negate(x) }"
        >>> y, z = (decode(xla.parse_text(text.replace("NAME", name))) for name in "yz")
        >>> module_digest(y) == module_digest(z)
        True
    """
    protos = {
        proto.name: proto
        for computation in schema.HloModuleProto.FromString(module.serialized).computations
        for proto in computation.instructions
    }
    digest = sha256()
    numbers = {name: number for number, name in enumerate(module.computations)}
    for name, computation in module.computations.items():
        by_name = {instruction.name: instruction for instruction in computation.instructions}
        order = module.schedule.get(name) or tuple(by_name)
        position_of = {instruction: position for position, instruction in enumerate(order)}
        for instruction in (by_name[inner] for inner in order):
            bare = schema.HloInstructionProto()
            bare.CopyFrom(protos[instruction.name])
            for field in _IDENTITY:
                bare.ClearField(field)
            wiring = (
                [position_of[operand] for operand in instruction.operands],
                [numbers[called] for called in instruction.called],
                sorted(position_of[before] for before in instruction.control_predecessors),
            )
            digest.update(bare.SerializeToString(deterministic=True) + repr(wiring).encode())
        digest.update(f"root {position_of[computation.root]} of {name == module.entry}".encode())
    return digest.hexdigest()
