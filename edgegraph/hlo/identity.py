"""Telling instructions and modules that do the same from those that do not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

from edgegraph.hlo import opcodes, schema
from edgegraph.hlo.module import Instruction, Module

NAMES = (
    "name", "id", "metadata", "operand_ids", "control_predecessor_ids", "called_computation_ids",
    "statistics_viz", "original_value",
)  # fmt: skip
"""Fields of an HloInstructionProto that name an instruction and others, or say where it came from;
all others say what it does."""

ATTRIBUTES = (
    "tuple_index", "fusion_kind", "custom_call_target", "dimensions", "literal", "comparison",
    "collective", "window", "dot", "convolution", "fft_lengths", "feature_group_count",
    "batch_group_count", "precision",
)  # fmt: skip
"""Attributes of a decoded instruction, besides opcode and shape, that say what it does."""


def written(proto: schema.Proto, *, without: Sequence[str] = ()) -> bytes:
    """Return what XLA wrote of an instruction, equal for two that do the same to their operands.

    `proto` loses its names; the fields in `without` do not count either.
    """
    for field in (*NAMES, *without):
        proto.ClearField(field)
    if proto.backend_config:
        proto.backend_config = in_order(proto.backend_config)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def in_order(config: bytes) -> bytes:
    """Return a backend's configuration with its keys in order, for XLA writes them in any.

    Example:
        >>> in_order(b'{"b":{},"a":[2,1]}'), in_order(b"plain text")
        (b'{"a":[2,1],"b":{}}', b'plain text')
    """
    try:
        return msgspec.json.encode(msgspec.json.decode(config), order="sorted")
    except msgspec.MsgspecError:
        return config


def decoded(instruction: Instruction) -> tuple[Hashable, ...]:
    """Return what EdgeGraph reads of an instruction's attributes, in the order of `ATTRIBUTES`.

    Different versions of XLA agree about it, not so about all that they write.
    """
    return tuple([getattr(instruction, name) for name in ATTRIBUTES])


def module_digest(module: Module) -> str:
    """Return a digest of what a module does: alike for modules that differ in names only.

    Names, ids, source positions and op_names are left out; operands and called computations
    count by position, in the order of execution where the module is scheduled.
    """
    protos = _protos(module)
    digest = sha256()
    numbers = {name: number for number, name in enumerate(module.computations)}
    for name, computation in module.computations.items():
        by_name = {instruction.name: instruction for instruction in computation.instructions}
        order = module.schedule.get(name) or tuple(by_name)
        position_of = {instruction: position for position, instruction in enumerate(order)}
        for instruction in (by_name[inner] for inner in order):
            wiring = (
                [position_of[operand] for operand in instruction.operands],
                [numbers[called] for called in instruction.called],
                sorted(position_of[before] for before in instruction.control_predecessors),
            )
            digest.update(written(_proto(protos[instruction.name])) + repr(wiring).encode())
        digest.update(f"root {position_of[computation.root]} of {name == module.entry}".encode())
    return digest.hexdigest()


class Labels:
    """Numbers things, equal ones alike."""

    def __init__(self) -> None:
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
    """Label every instruction of a module by what it does, by its name.

    Names, ids, positions in the source and op_names do not count, nor do the numbers of the
    entry's parameters, which shift when an argument is added.

    Args:
        module: A decoded module.
        labels: Shared by the modules that are compared.
        exact: Compare every attribute as XLA wrote it. Different versions of XLA write the same
            attributes differently; without it, only those that EdgeGraph decodes count.
    """
    protos = _protos(module) if exact else None
    bodies: dict[str, int] = {}
    found: dict[str, Label] = {}
    for name, computation in module.computations.items():
        values: dict[str, int] = {}
        for instruction in computation.instructions:
            entry_parameter = name == module.entry and instruction.opcode == "parameter"
            what: Hashable
            if protos is None or entry_parameter:
                number = None if entry_parameter else instruction.parameter_number
                what = (instruction.opcode, instruction.shape, number, *decoded(instruction))
            else:
                what = written(_proto(protos[instruction.name]))
            called = tuple(bodies[inner] for inner in instruction.called)
            deep = labels.of((what, called))
            compared_inside = instruction.opcode in opcodes.CALLERS
            own = labels.of((what, "without what it calls")) if compared_inside else deep
            found[instruction.name] = Label(own, deep)
            operands = tuple(values[operand] for operand in instruction.operands)
            values[instruction.name] = labels.of((deep, operands))
        bodies[name] = labels.of((values[computation.root], tuple(sorted(values.values()))))
    return found


_proto = schema.HloInstructionProto.FromString


def _protos(module: Module) -> dict[str, bytes]:
    """Return the messages of a module's instructions by name."""
    return {
        instruction.name: message
        for computation in schema.ListedModuleProto.FromString(module.serialized).computations
        for instruction, message in zip(
            module.computations[computation.name].instructions,
            computation.instructions,
            strict=True,
        )
    }
