"""Telling instructions and modules that do the same from those that do not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from hashlib import sha256

from msgspec import Struct

from edgegraph.hlo import opcodes, schema
from edgegraph.hlo.module import Instruction, Module

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


_LABEL_FIELDS = (
    "name",
    "id",
    "metadata",
    "operand_ids",
    "control_predecessor_ids",
    "called_computation_ids",
    "statistics_viz",
    "original_value",
)
"""Fields that name an instruction and others, or say where it came from."""


class Labels:
    """Numbers things, equal ones alike.

    Example:
        >>> labels = Labels()
        >>> labels.of("add"), labels.of("dot"), labels.of("add")
        (0, 1, 0)
    """

    def __init__(self) -> None:
        """Start without any."""
        self._numbers: dict[Hashable, int] = {}

    def of(self, thing: Hashable) -> int:
        """Return the number of a thing, a new one where no equal was seen."""
        return self._numbers.setdefault(thing, len(self._numbers))


class Label(Struct, frozen=True, gc=False):
    """What an instruction does.

    Attributes:
        own: Itself; with the computation that a fusion or a reduction calls, but without those
            of a loop, call or conditional, whose ops are compared one by one.
        deep: With everything that it calls.
    """

    own: int
    deep: int


def label_instructions(module: Module, labels: Labels, *, exact: bool) -> Mapping[str, Label]:
    """Label every instruction of a module by what it does.

    Names, ids, positions in the source and op_names do not count, nor do the numbers of the
    entry's parameters, which shift when an argument is added.

    Args:
        module: A decoded module.
        labels: Shared by the modules that are compared.
        exact: Compare every attribute as XLA wrote it. Different versions of XLA write the same
            attributes differently; without it, only those that EdgeGraph decodes count.

    Returns:
        Labels by instruction name.
    """
    bare = _written(module) if exact else None
    bodies: dict[str, int] = {}
    found: dict[str, Label] = {}
    for name, computation in module.computations.items():
        values: dict[str, int] = {}
        for instruction in computation.instructions:
            entry_parameter = name == module.entry and instruction.opcode == "parameter"
            what: Hashable = (
                _decoded(instruction, numbered=not entry_parameter)
                if bare is None or entry_parameter
                else bare[instruction.name]
            )
            called = tuple(bodies[inner] for inner in instruction.called)
            deep = labels.of((what, called))
            compared_inside = instruction.opcode in opcodes.CALLERS
            own = labels.of((what, "without what it calls")) if compared_inside else deep
            found[instruction.name] = Label(own, deep)
            operands = tuple(values[operand] for operand in instruction.operands)
            values[instruction.name] = labels.of((deep, operands))
        bodies[name] = labels.of((values[computation.root], tuple(sorted(values.values()))))
    return found


def _written(module: Module) -> dict[str, bytes]:
    """Return what XLA wrote of every instruction, without what identifies it."""
    bare: dict[str, bytes] = {}
    for computation in schema.HloModuleProto.FromString(module.serialized).computations:
        for proto in computation.instructions:
            name = proto.name
            for field in _LABEL_FIELDS:
                proto.ClearField(field)
            bare[name] = proto.SerializeToString(deterministic=True)
    return bare


def _decoded(instruction: Instruction, *, numbered: bool) -> Hashable:
    """Return what EdgeGraph reads of an instruction and two versions of XLA agree about."""
    return (
        instruction.opcode,
        instruction.shape,
        instruction.parameter_number if numbered else None,
        *(getattr(instruction, name) for name in ATTRIBUTES),
    )


ATTRIBUTES = (
    "tuple_index", "fusion_kind", "custom_call_target", "dimensions", "literal", "comparison",
    "collective", "window", "dot", "convolution", "feature_group_count", "batch_group_count",
    "precision",
)  # fmt: skip
"""Attributes of an instruction besides opcode and shape that say what it does."""
