"""XLA's own price of a single instruction.

XLA's cost analysis gives one total per module. So every instruction is wrapped as a module of
its own, its operands as parameters and its called computations beside it, and analysed alone.
Instructions that differ only in names, ids and metadata cost the same and are priced once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from edgegraph import xla
from edgegraph.hlo import schema

_IDENTITY = (
    "name",
    "id",
    "metadata",
    "operand_ids",
    "control_predecessor_ids",
    "called_computation_ids",
    "backend_config",
)
"""Fields that say which instruction it is, not what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XlaPrice:
    """What XLA says of one instruction alone.

    Attributes:
        flops: Floating point operations.
        transcendentals: Operations that XLA counts apart from FLOPs.
        operand_bytes: Bytes read of each operand; they and `output_bytes` add up to XLA's
            ``bytes accessed``.
        output_bytes: Bytes written.
    """

    flops: int
    transcendentals: int
    operand_bytes: tuple[int, ...]
    output_bytes: int


class XlaPricer:
    """Prices the instructions of one module, remembering what it has priced."""

    def __init__(self, serialized: bytes) -> None:
        """Parse the module.

        Args:
            serialized: A HloModuleProto.
        """
        module = schema.HloModuleProto.FromString(serialized)
        self._computations = {c.id: c for c in module.computations}
        self._instructions: dict[str, tuple[Any, Mapping[int, Any]]] = {}
        for computation in module.computations:
            by_id = {instruction.id: instruction for instruction in computation.instructions}
            for instruction in computation.instructions:
                self._instructions[instruction.name] = (instruction, by_id)
        self._fingerprints: dict[int, bytes] = {}
        self._prices: dict[tuple[object, ...], XlaPrice] = {}

    def price(self, name: str) -> XlaPrice:
        """Give XLA's price of the instruction called `name`, for one execution."""
        instruction, by_id = self._instructions[name]
        shapes = [by_id[operand].shape for operand in instruction.operand_ids]
        called = instruction.called_computation_ids
        key = (
            _bare(instruction),
            *(shape.SerializeToString() for shape in shapes),
            *(self._fingerprint(computation) for computation in called),
        )
        found = self._prices.get(key)
        if found is None:
            found = _read(xla.cost_analysis(self._alone(instruction, shapes)), len(shapes))
            self._prices[key] = found
        return found

    def _fingerprint(self, computation_id: int) -> bytes:
        """Hash what a computation does, without names, ids and metadata."""
        known = self._fingerprints.get(computation_id)
        if known is None:
            computation = self._computations[computation_id]
            place = {instr.id: i for i, instr in enumerate(computation.instructions)}
            digest = blake2b(digest_size=16)
            for instr in computation.instructions:
                operands = [place[operand] for operand in instr.operand_ids]
                called = [self._fingerprint(c) for c in instr.called_computation_ids]
                is_root = instr.id == computation.root_id
                digest.update(repr((_bare(instr), operands, called, is_root)).encode())
            known = self._fingerprints[computation_id] = digest.digest()
        return known

    def _alone(self, instruction: Any, shapes: list[Any]) -> bytes:
        """Wrap one instruction as a module: operands become parameters."""
        module = schema.HloModuleProto(name="alone", entry_computation_name="entry")
        numbering = _Numbering()
        new_ids: dict[int, int] = {}
        for old_id in self._needed(instruction):
            copy = module.computations.add()
            copy.CopyFrom(self._computations[old_id])
            new_ids[old_id] = _renumber(copy, new_ids, numbering)
        entry = module.computations.add(name="entry", id=numbering.next())
        module.entry_computation_id = entry.id
        for number, shape in enumerate(shapes):
            name = f"operand_{number}"
            parameter = entry.instructions.add(
                name=name, opcode="parameter", parameter_number=number, id=numbering.next()
            )
            parameter.shape.CopyFrom(shape)
            entry.program_shape.parameters.add().CopyFrom(shape)
            entry.program_shape.parameter_names.append(name)
        entry.program_shape.result.CopyFrom(instruction.shape)
        operand_ids = [parameter.id for parameter in entry.instructions]
        alone = entry.instructions.add()
        alone.CopyFrom(instruction)
        for field in ("metadata", "control_predecessor_ids"):
            alone.ClearField(field)
        alone.id = entry.root_id = numbering.next()
        alone.operand_ids[:] = operand_ids
        alone.called_computation_ids[:] = [new_ids[c] for c in instruction.called_computation_ids]
        module.host_program_shape.CopyFrom(entry.program_shape)
        return bytes(module.SerializeToString())

    def _needed(self, instruction: Any) -> list[int]:
        """List the computations that an instruction reaches, callees before callers."""
        order: dict[int, None] = {}

        def visit(computation_ids: Any) -> None:
            for computation_id in computation_ids:
                if computation_id not in order:
                    for inner in self._computations[computation_id].instructions:
                        visit(inner.called_computation_ids)
                    order[computation_id] = None

        visit(instruction.called_computation_ids)
        return list(order)


class _Numbering:
    """Hands out small ids: XLA sizes its tables by the largest, so a huge one costs memory."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last


def _renumber(computation: Any, callees: Mapping[int, int], numbering: _Numbering) -> int:
    """Give a computation and its instructions new ids, and drop what points out of it."""
    new_ids = {instruction.id: numbering.next() for instruction in computation.instructions}
    for instruction in computation.instructions:
        instruction.id = new_ids[instruction.id]
        instruction.operand_ids[:] = [new_ids[o] for o in instruction.operand_ids]
        instruction.called_computation_ids[:] = [
            callees[c] for c in instruction.called_computation_ids
        ]
        for field in ("metadata", "control_predecessor_ids"):
            instruction.ClearField(field)
    computation.root_id = new_ids[computation.root_id]
    computation.id = numbering.next()
    return int(computation.id)


def _bare(instruction: Any) -> bytes:
    """Serialise what an instruction does, without what it is called."""
    bare = schema.HloInstructionProto()
    bare.CopyFrom(instruction)
    for field in _IDENTITY:
        bare.ClearField(field)
    return bytes(bare.SerializeToString())


def _read(properties: Mapping[str, float], operands: int) -> XlaPrice:
    """Read XLA's properties.

    Keys of a fusion's body leak into its own (``bytes accessed5{}`` of a fusion with two
    operands), so only the keys of real operands are read.
    """
    output = round(properties.get("bytes accessedout{}", 0))
    read = round(properties.get("bytes accessed", 0)) - output
    parts = [round(properties.get(f"bytes accessed{i}{{}}", 0)) for i in range(operands)]
    if parts and sum(parts) != read:
        # XLA gives some opcodes one figure for all operands; it goes to the first of them.
        parts[0] += read - sum(parts)
    return XlaPrice(
        flops=round(properties.get("flops", 0)),
        transcendentals=round(properties.get("transcendentals", 0)),
        operand_bytes=tuple(parts),
        output_bytes=output if parts else output + read,
    )
