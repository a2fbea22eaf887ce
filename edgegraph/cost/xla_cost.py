"""XLA's own price of a single instruction, and which ops inside a fusion its bytes belong to.

XLA's cost analysis gives one total per module. So every instruction is wrapped as a module of
its own, its operands as parameters and its called computations beside it, and analysed separately.
Instructions that differ only in names, ids and metadata cost the same and are priced once.

A fusion is one kernel: what its inner ops hand to each other stays in registers and caches. Only
its operands are read and only its result is written; those bytes belong to the inner ops that use
an operand or make a result.

XLA's compiler for TPUs places values: a layout with a memory space other than 0 stands in memory
on the chip (VMEM; CMEM on a v4), and reading or writing it does not cross the pins. Such bytes are
part of the traffic between kernels, but not of main memory's, and take no time under the memory
roof, since the bandwidth of that memory is not published. A value that is copied there from main
memory is read once from main memory. Other compilers number their spaces otherwise (GPUs: memory
for collectives, which is main memory), so that only modules of the TPU's compiler are read in this
way. Space 5 is the host's memory everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat

from msgspec.structs import replace

from edgegraph import xla
from edgegraph.hlo import opcodes, schema
from edgegraph.hlo.decode import DTYPES
from edgegraph.hlo.graph import Node
from edgegraph.hlo.identity import Labels, written
from edgegraph.hlo.module import BITS_BY_DTYPE, Instruction, Module, Shape
from edgegraph.hlo.op_tree import OpTree


@dataclass(frozen=True, slots=True, kw_only=True)
class XlaPrice:
    """What XLA reports for one instruction alone; the bytes add up to its ``bytes accessed``."""

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
        proto = schema.ListedModuleProto.FromString(module.serialized)
        bodies = {computation.name: computation for computation in proto.computations}
        for computation in module.computations.values():
            names = [instruction.name for instruction in computation.instructions]
            self._instructions.update(zip(names, computation.instructions, strict=True))
            self._places.update(
                zip(names, zip(repeat(bodies[computation.name]), count()), strict=False)
            )

    def _proto(self, name: str) -> schema.Proto:
        """Return an instruction's message; few are looked at, so none is parsed before."""
        body, position = self._places[name]
        return schema.HloInstructionProto.FromString(body.instructions[position])

    def key(self, instruction: Instruction) -> tuple[int, ...]:
        """Return what two instructions have in common that do the same to the same shapes."""
        known = self._instructions
        return (
            self._labels.of(self._what(instruction)),
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

    def _what(self, instruction: Instruction) -> tuple[Hashable, ...]:
        """Return something equal for what does the same to the same shapes."""
        if instruction.opcode in opcodes.PRICED_BY_SHAPE:
            return instruction.opcode, id(instruction.shape)
        bare = self._proto(instruction.name)
        # What a backend makes of an instruction is no matter of its price.
        return ("written", written(bare, without=["backend_config"]))

    def _number_body(self, name: str) -> int:
        """Number what a computation does, without names, ids and metadata."""
        if name not in self._bodies:
            computation = self._module.computations[name]
            number_of = {inner.name: i for i, inner in enumerate(computation.instructions)}
            # What each instruction does, its operands' numbers, and those of what it calls.
            body: list[Hashable] = [number_of[computation.root]]
            for inner in computation.instructions:
                body.append(self._what(inner))
                body += [number_of[operand] for operand in inner.operands]
                body += [("calls", self._number_body(called)) for called in inner.called]
            self._bodies[name] = self._labels.of(tuple(body))
        return self._bodies[name]

    def _wrap(self, instruction: Instruction) -> bytes:
        """Wrap an instruction as a module; ids start at 1, as XLA sizes tables by the largest."""
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
            _pack(parameter.shape)
            entry.program_shape.parameters.add().CopyFrom(parameter.shape)
            entry.program_shape.parameter_names.append(name)
        positional = replace(instruction, operands=tuple(parameters))
        entry.root_id = next(ids)
        self._add(entry, positional, entry.root_id, parameters, computation_ids)
        entry.program_shape.result.CopyFrom(entry.instructions[-1].shape)
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
        _pack(copy.shape)
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


def _pack(shape: schema.Proto) -> None:
    """Have elements of less than a byte share bytes, as XLA decides for all when it optimises."""
    for element in shape.tuple_shapes:
        _pack(element)
    bits = BITS_BY_DTYPE.get(DTYPES.get(shape.element_type, ""), 8)
    if 0 < bits < 8:
        if not shape.HasField("layout"):
            shape.layout.minor_to_major.extend(reversed(range(len(shape.dimensions))))
        shape.layout.element_size_in_bits = bits


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


_ON_CHIP = frozenset({1, 2, 3, 4})
_TPU_CONFIG = '"scoped_memory_configs"'
"""Stands in the backend_config of what the TPU's compiler has laid out."""


class MemorySpaces:
    """Knows which part of what is moved stays on the chip."""

    def __init__(self, module: Module) -> None:
        """Look whether the module is of the compiler whose memory spaces have that meaning."""
        self.placed = any(
            _TPU_CONFIG in instruction.backend_config
            for instruction in module.computations[module.entry].instructions
        )

    def on_chip(self, moved: int, shape: Shape) -> int:
        """Return how much of what is moved stays on the chip; a tuple's arrays share it by size."""
        if not self.placed or not moved:
            return 0
        leaves = shape.leaves()
        whole = sum(leaf.bytes for leaf in leaves)
        inside = sum(leaf.bytes for leaf in leaves if leaf.memory_space in _ON_CHIP)
        return moved * inside // whole if whole else 0

    def sum(self, moved: Sequence[int], shapes: Sequence[Shape]) -> int:
        """Add up the bytes that stay on the chip, of several values."""
        return sum(map(self.on_chip, moved, shapes)) if self.placed else 0


Crossing = tuple[int, int, int]
"""Bytes read and written across a fusion's boundary, and how many of both stay on the chip."""

_READ, _WRITTEN, _KEPT = range(3)


def attribute_boundary_bytes(
    fusion: Node,
    contents: Mapping[str | None, Sequence[Node]],
    root: str,
    price: XlaPrice,
    operands: Sequence[Shape],
    spaces: MemorySpaces,
) -> dict[str, Crossing]:
    """Credit the bytes that XLA says cross a fusion's boundary to the ops inside.

    The sums of the bytes read and written equal those of `price`, exactly. `root` is the HLO
    instruction that is the fused computation's result.
    """
    inner = {node.name: node for node in contents[fusion.name]}
    users: dict[str, list[str]] = {}
    for node in inner.values():
        for operand in dict.fromkeys(node.operands):
            users.setdefault(operand, []).append(node.name)
    credit: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])

    def share(direction: int, moved: int, value: Shape, weights: Mapping[str, int]) -> None:
        for figure, amount in ((direction, moved), (_KEPT, spaces.on_chip(moved, value))):
            parts = _parts(amount, [*weights.values()]) if amount else ()
            for name, part in zip(weights, parts, strict=False):
                credit[_leaf(name, inner, contents)][figure] += part

    for name, node in inner.items():
        number = node.instruction.parameter_number
        if node.opcode == "parameter" and number is not None:
            workers = _working_users(name, inner, users) or [name]
            share(_READ, price.operand_bytes[number], operands[number], dict.fromkeys(workers, 1))
    result = next(name for name, node in inner.items() if node.instruction.name == root)
    makers = {name: inner[name].instruction.shape.bytes for name in _makers(result, inner)}
    share(_WRITTEN, price.output_bytes, fusion.instruction.shape, makers)
    return {name: (read, written, kept) for name, (read, written, kept) in credit.items()}


def _working_users(
    name: str, inner: Mapping[str, Node], users: Mapping[str, Sequence[str]]
) -> list[str]:
    """Find the ops that do something with a value, looking through bitcasts and tuples."""
    found: dict[str, None] = {}
    pending = [name]
    seen = {name}
    while pending:
        for user in users.get(pending.pop(), ()):
            if inner[user].opcode not in opcodes.FREE:
                found[user] = None
            elif user not in seen:
                seen.add(user)
                pending.append(user)
    return list(found)


def _makers(root: str, inner: Mapping[str, Node]) -> list[str]:
    """Find the ops that make the result, looking through bitcasts and tuples."""
    found: dict[str, None] = {}
    pending = [root]
    while pending:
        node = inner[pending.pop()]
        if node.opcode in opcodes.FREE and node.operands:
            pending.extend(reversed(node.operands))
        else:
            found[node.name] = None
    return list(found)


def _parts(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` by `weights` into whole bytes; what rounding leaves goes to the first."""
    whole = sum(weights)
    parts = [amount * weight // whole if whole else amount // len(weights) for weight in weights]
    parts[0] += amount - sum(parts)
    return parts


def _leaf(
    name: str, inner: Mapping[str, Node], contents: Mapping[str | None, Sequence[Node]]
) -> str:
    """Descend from a container inside the fusion to the last op in it, which makes its result."""
    node = inner[name]
    while node.opcode in opcodes.CONTAINERS:
        node = contents[node.name][-1]
    return node.name


def unfused_bytes(module: Module, nodes: Sequence[Node]) -> dict[str, int]:
    """Return the bytes that the ops inside every fusion would read and write one by one.

    As XLA's cost analysis counts an op alone; what a fusion moves less is what fusing saves. By
    the name of every fusion that stands in no other, for one execution.
    """
    pricer = XlaPricer(module)

    def moved(node: Node) -> int:
        price = pricer.price(node.instruction.name)
        return sum(price.operand_bytes) + price.output_bytes

    return {
        kernel.name: sum(map(moved, kernel.ops))
        for kernel in OpTree(nodes).kernels
        if kernel.head.opcode == "fusion"
    }
