"""XLA's own price of a single instruction.

XLA's cost analysis gives one total per module. So every instruction is wrapped as a module of
its own, its operands as parameters and its called computations beside it, and analysed separately.
Instructions that differ only in names, ids and metadata cost the same and are priced once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from msgspec.structs import replace

from edgegraph import xla
from edgegraph.hlo import opcodes, schema
from edgegraph.hlo.identity import Labels, written
from edgegraph.hlo.module import Instruction, Module


@dataclass(frozen=True, slots=True, kw_only=True)
class XlaPrice:
    """What XLA reports for one instruction on its own.

    `operand_bytes` are read, `output_bytes` written; they add up to XLA's ``bytes accessed``.
    """

    flops: int
    transcendentals: int
    operand_bytes: tuple[int, ...]
    output_bytes: int


class XlaPricer:
    """Prices the instructions of one module, remembering what it has priced."""

    def __init__(self, module: Module) -> None:
        """Keep the messages of a decoded module by instruction name."""
        self._module = module
        self._instructions: dict[str, Instruction] = {}
        self._labels = Labels()
        self._bodies: dict[str, int] = {}
        self._prices: dict[tuple[int, ...], XlaPrice] = {}
        self._places: dict[str, tuple[schema.Proto, int]] = {}
        proto = schema.HloModuleProto.FromString(module.serialized)
        bodies = {computation.name: computation for computation in proto.computations}
        for name, computation in module.computations.items():
            for position, instruction in enumerate(computation.instructions):
                self._instructions[instruction.name] = instruction
                self._places[instruction.name] = (bodies[name], position)

    def _proto(self, name: str) -> schema.Proto:
        """Return an instruction's message; few are looked at, so none is unwrapped before."""
        body, position = self._places[name]
        return body.instructions[position]

    def key(self, instruction: Instruction) -> tuple[int, ...]:
        """Return what two instructions have in common that do the same to the same shapes."""
        known = self._instructions
        return (
            self._number(instruction),
            # Decoding makes one object of equal shapes, and the module keeps it alive.
            *[id(known[operand].shape) for operand in instruction.operands],
            *[self._number_body(computation) for computation in instruction.called],
        )

    def price(self, name: str) -> XlaPrice:
        """Return XLA's price of the instruction called `name`, for one execution."""
        instruction = self._instructions[name]
        key = self.key(instruction)
        if key not in self._prices:
            properties = xla.cost_analysis(self._wrap(instruction))
            self._prices[key] = _read(properties, len(instruction.operands))
        return self._prices[key]

    def _number(self, instruction: Instruction) -> int:
        """Return the same number for what does the same to the same shapes."""
        if instruction.opcode in opcodes.PRICED_BY_SHAPE:
            return self._labels.of((instruction.opcode, id(instruction.shape)))
        bare = schema.HloInstructionProto()
        bare.CopyFrom(self._proto(instruction.name))
        # What a backend makes of an instruction is no matter of its price.
        return self._labels.of(written(bare, without=["backend_config"]))

    def _number_body(self, name: str) -> int:
        """Number what a computation does, without names, ids and metadata."""
        if name not in self._bodies:
            computation = self._module.computations[name]
            number_of = {inner.name: i for i, inner in enumerate(computation.instructions)}
            body = [
                (
                    self._number(inner),
                    *[number_of[operand] for operand in inner.operands],
                    *[("calls", self._number_body(called)) for called in inner.called],
                )
                for inner in computation.instructions
            ]
            self._bodies[name] = self._labels.of((number_of[computation.root], *body))
        return self._bodies[name]

    def _wrap(self, instruction: Instruction) -> bytes:
        """Wrap an instruction as a module, operands as parameters.

        Ids are renumbered from the smallest up: XLA sizes its tables by the largest one.
        """
        module = schema.HloModuleProto(name="alone", entry_computation_name="entry")
        ids = count(1)
        computation_ids: dict[str, int] = {}
        for name in self._reached(instruction):
            body = self._module.computations[name]
            copy = module.computations.add(name=name, id=next(ids))
            new_ids = {inner.name: next(ids) for inner in body.instructions}
            for inner in body.instructions:
                self._add(copy, inner, new_ids[inner.name], new_ids, computation_ids)
            copy.root_id = new_ids[body.root]
            computation_ids[name] = copy.id
        entry = module.computations.add(name="entry", id=next(ids))
        parameters: dict[str, int] = {}
        for number, operand in enumerate(instruction.operands):
            name = f"operand_{number}"
            parameters[name] = next(ids)
            parameter = entry.instructions.add(
                name=name, opcode="parameter", parameter_number=number, id=parameters[name]
            )
            parameter.shape.CopyFrom(self._proto(operand).shape)
            entry.program_shape.parameters.add().CopyFrom(parameter.shape)
            entry.program_shape.parameter_names.append(name)
        entry.program_shape.result.CopyFrom(self._proto(instruction.name).shape)
        positional = replace(instruction, operands=tuple(parameters))
        entry.root_id = next(ids)
        self._add(entry, positional, entry.root_id, parameters, computation_ids)
        module.entry_computation_id = entry.id
        module.host_program_shape.CopyFrom(entry.program_shape)
        return bytes(module.SerializeToString())

    def _add(
        self,
        computation: schema.Proto,
        instruction: Instruction,
        new_id: int,
        operands: Mapping[str, int],
        computations: Mapping[str, int],
    ) -> None:
        """Add a copy of an instruction to a computation, under new ids."""
        copy = computation.instructions.add()
        copy.CopyFrom(self._proto(instruction.name))
        for field in ("metadata", "control_predecessor_ids"):
            copy.ClearField(field)
        copy.id = new_id
        copy.operand_ids[:] = [operands[operand] for operand in instruction.operands]
        copy.called_computation_ids[:] = [computations[called] for called in instruction.called]

    def _reached(self, instruction: Instruction) -> list[str]:
        """List the computations that an instruction reaches, callees before callers."""
        order: dict[str, None] = {}

        def visit(computations: tuple[str, ...]) -> None:
            for name in computations:
                if name not in order:
                    for inner in self._module.computations[name].instructions:
                        visit(inner.called)
                    order[name] = None

        visit(instruction.called)
        return list(order)


def _read(properties: Mapping[str, float], operands: int) -> XlaPrice:
    """Read XLA's properties.

    Keys of a fusion's body leak into its own (``bytes accessed5{}`` of a fusion with two
    operands), so only the keys of real operands are read. To reduce nothing takes XLA less than
    nothing.
    """
    moved = round(properties.get("bytes accessed", 0))
    output = min(moved, round(properties.get("bytes accessedout{}", 0)))
    read = moved - output
    parts = [round(properties.get(f"bytes accessed{i}{{}}", 0)) for i in range(operands)]
    if parts and sum(parts) < read:
        # XLA gives some opcodes one figure for all operands; it goes to the first of them.
        parts[0] += read - sum(parts)
    # And of some it counts the first operands only, but says what each would be.
    left = read
    for number, part in enumerate(parts):
        parts[number] = min(part, left)
        left -= parts[number]
    return XlaPrice(
        flops=max(0, round(properties.get("flops", 0))),
        transcendentals=max(0, round(properties.get("transcendentals", 0))),
        operand_bytes=tuple(parts),
        output_bytes=output if parts else output + read,
    )
