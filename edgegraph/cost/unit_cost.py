"""What one execution of every op costs, before loops multiply it.

XLA prices each instruction alone, rules price custom calls, and the bytes that cross a fusion's
boundary are credited to the ops inside that use or make them. Fusions that do the same to the same
shapes, of which repeated layers make many, are priced once.

Bytes on the wire count for each device and in one direction: what it sends. The algorithms are the
ring algorithms, which move the fewest bytes that the op allows (Thakur, Rabenseifner and Gropp,
"Optimization of Collective Communication Operations in MPICH", 2005; NCCL's performance notes call
the same factors the bus bandwidth's). With n devices in a group and B bytes:

=====================  ====================  =============================
op                     bytes sent            B
=====================  ====================  =============================
all-reduce             2 (n - 1) / n B       of the operands
all-gather             (n - 1) / n B         of the gathered result
reduce-scatter         (n - 1) / n B         of the operands
all-to-all             (n - 1) / n B         of the operands
collective-broadcast   B                     of the operands, passed along
collective-reduce      B                     of the operands, summed up along the way
collective-permute     B                     of the operands
send                   B                     of the operand, unless it goes to the host
=====================  ====================  =============================
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from edgegraph.cost.cost import UNKNOWN, ZERO, Cost
from edgegraph.cost.custom_calls import price_custom_call
from edgegraph.cost.needed import needed_elements
from edgegraph.cost.operations import operations
from edgegraph.cost.products import ComputeType, compute_type, macs, result_type
from edgegraph.cost.xla_cost import (
    Crossing,
    MemorySpaces,
    XlaPrice,
    XlaPricer,
    attribute_boundary_bytes,
)
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import BITS_BY_DTYPE, Collective, Instruction, Module, Shape
from edgegraph.hlo.op_tree import OpTree

_ARRIVES_AT = {
    "all-gather-start": 1, "collective-permute-start": 1, "copy-start": 0, "recv": 0, "send": None
}  # fmt: skip
"""Which element of the result is the memory written to, of opcodes whose result also hands on
the memory read and words to wait on, which XLA counts as written too. None: the data leaves."""

_NOTHING: Crossing = (0, 0, 0)
_MOVES_NOTHING = opcodes.FREE | opcodes.WAITS


class UnitCost(Struct, frozen=True, kw_only=True, gc=False):
    """One execution of a node; a container has no cost, and touches no bytes but for a fusion's."""

    cost: Cost | None
    computes: ComputeType
    working_set_bytes: int


def price_once(module: Module, tree: OpTree[Node]) -> list[list[UnitCost]]:
    """Price one execution of every node of a module, in the order of the tree's ops.

    What runs as one stands together: a fusion and all that is inside it. Of fusions that do the
    same, the list is the same object.
    """
    nodes = tree.ops
    pricer = _Pricer(module, tree)
    alike: dict[tuple[int, ...], list[UnitCost]] = {}
    found: list[list[UnitCost]] = []
    position = 0
    while position < len(nodes):
        node = nodes[position]
        if node.opcode != "fusion":
            priced = [pricer.kernel(node)]
        else:
            key = pricer.xla.key(node.instruction)
            priced = alike.get(key) or pricer.fusion(_with_contents(nodes, position))
            # One that does the same need not cost the same, node by node, where a schedule orders
            # what is inside, nor with a custom call, whose configuration says more than XLA's
            # price depends on.
            if key not in alike and not any(
                inner.opcode == "custom-call" or inner.computation in module.schedule
                for inner in nodes[position + 1 : position + len(priced)]
            ):
                alike[key] = priced
        found.append(priced)
        position += len(priced)
    return found


def _with_contents(nodes: Sequence[Node], position: int) -> Sequence[Node]:
    """Return a container and all that is inside it, which follow each other."""
    names = {nodes[position].name}
    end = position + 1
    while end < len(nodes) and nodes[end].parent in names:
        names.add(nodes[end].name)
        end += 1
    return nodes[position:end]


class _Pricer:
    """Prices single executions, with a look at what stands around an op."""

    def __init__(self, module: Module, tree: OpTree[Node]) -> None:
        self.xla = XlaPricer(module)
        self._module = module
        self._contents = tree.contents
        self._shapes = {node.name: node.instruction.shape for node in tree.ops}
        self._spaces = MemorySpaces(module)
        self._fused: dict[str, Mapping[str, Instruction]] = {}

    def kernel(self, node: Node) -> UnitCost:
        """Price an op that is a kernel of its own, or a container but no fusion."""
        if node.name in self._contents:
            return _container(node)
        operands = self._operands(node)
        cost = self._cost(node.instruction, operands)
        return UnitCost(
            cost=cost,
            computes=compute_type(node.instruction, operands, cost),
            working_set_bytes=(cost.bytes_read or 0) + (cost.bytes_written or 0),
        )

    def fusion(self, nodes: Sequence[Node]) -> list[UnitCost]:
        """Price a fusion and all that is inside it, which touch the same bytes together."""
        fusion, instruction = nodes[0], nodes[0].instruction
        root = self._module.computations[instruction.called[0]].root
        uncounted = _uncounted_ops(fusion, self._contents[fusion.name])
        needed = {} if uncounted else needed_elements(self._contents[fusion.name], root)
        price = _of_needed(self.xla.price(instruction.name), self._contents[fusion.name], needed)
        touched = sum(price.operand_bytes) + price.output_bytes
        crossings = attribute_boundary_bytes(
            fusion, self._contents, root, price, self._operands(fusion), self._spaces
        )
        kinds = {
            node.name: node.instruction.fusion_kind for node in nodes if node.opcode == "fusion"
        }
        found: list[UnitCost] = []
        for node in nodes:
            if node.name in self._contents:
                found.append(_container(node, touched))
                continue
            operands = self._operands(node)
            crossing = crossings.get(node.name, _NOTHING)
            cost = (
                _with_crossing(ZERO, crossing)
                if node.name in uncounted
                else self._cost(node.instruction, operands, crossing)
            )
            if node.name in needed and node.opcode in opcodes.ELEMENTWISE:
                cost = _part(cost, needed[node.name], node.instruction.shape.size)
            kind = kinds.get(node.parent or "")
            found.append(
                UnitCost(
                    cost=cost,
                    computes=self._computes(node, operands, cost, kind),
                    working_set_bytes=touched,
                )
            )
        return found

    def _operands(self, node: Node) -> list[Shape]:
        return [self._shapes[operand] for operand in node.operands]

    def _cost(
        self, instruction: Instruction, operands: Sequence[Shape], crossing: Crossing | None = None
    ) -> Cost:
        """Price an op that is no container; `crossing` is None outside of fusions."""
        if instruction.opcode == "custom-call":
            return _price_call(instruction, operands, crossing, self._spaces)
        # XLA writes the table of pointers of a tuple to memory.
        table = instruction.opcode == "tuple" and crossing is None
        if instruction.opcode in _MOVES_NOTHING and not table:
            return _with_crossing(ZERO, crossing or _NOTHING)
        price = self.xla.price(instruction.name)
        read, written, on_chip = crossing or _bytes_moved(
            instruction, operands, price, self._spaces
        )
        sends = instruction.collective is not None
        products = macs(instruction, operands)
        flops, transcendentals = operations(instruction, operands, products, price, self._module)
        return Cost(
            macs=products,
            bytes_read=read,
            bytes_written=written,
            on_chip_bytes=on_chip,
            flops=flops,
            transcendentals=transcendentals,
            wire_bytes=wire_bytes(instruction, operands, self._module) if sends else 0,
        )

    def _computes(
        self, node: Node, operands: Sequence[Shape], cost: Cost, kind: str | None
    ) -> ComputeType:
        """Return what an op inside a fusion, in a container of `kind`, computes in."""
        fused: Mapping[str, Instruction] = {}
        if node.opcode in opcodes.PRODUCTS and kind is not None:
            if node.computation not in self._fused:
                instructions = self._module.computations[node.computation].instructions
                self._fused[node.computation] = {inner.name: inner for inner in instructions}
            fused = self._fused[node.computation]
        # XLA computes small products that it fuses into loops without units for matrices.
        return compute_type(
            node.instruction, operands, cost, fused, element_by_element=kind == "kLoop"
        )


def _container(node: Node, working_set_bytes: int = 0) -> UnitCost:
    computes = result_type(node.instruction.shape)
    return UnitCost(cost=None, computes=computes, working_set_bytes=working_set_bytes)


def _bytes_moved(
    instruction: Instruction, operands: Sequence[Shape], price: XlaPrice, spaces: MemorySpaces
) -> Crossing:
    """Return the bytes that an op outside of a fusion reads and writes, and those on the chip."""
    arrives = _ARRIVES_AT.get(instruction.opcode, -1)
    reads = [operand.bytes for operand in operands]
    written, result = 0, instruction.shape
    if arrives is not None:
        if 0 <= arrives < len(instruction.shape.elements):
            result = instruction.shape.elements[arrives]
            written = result.bytes
        else:
            reads, written = [*price.operand_bytes], price.output_bytes
    on_chip = spaces.sum(reads, operands) + spaces.on_chip(written, result)
    return sum(reads), written, on_chip


def _of_needed(price: XlaPrice, inner: Sequence[Node], needed: Mapping[str, int]) -> XlaPrice:
    """Return a fusion's price without the elements that it neither reads nor writes."""
    read, written = list(price.operand_bytes), price.output_bytes
    for node in inner:
        number, shape = node.instruction.parameter_number, node.instruction.shape
        if node.name not in needed:
            continue
        moved = (needed[node.name] * BITS_BY_DTYPE[shape.dtype] + 7) // 8
        if node.opcode == "parameter" and number is not None:
            read[number] = min(read[number], moved)
        elif node.opcode == "scatter":
            written -= shape.bytes - moved
    return dataclasses.replace(price, operand_bytes=tuple(read), output_bytes=max(0, written))


def _part(cost: Cost, made: int, size: int) -> Cost:
    """Return the cost of an elementwise op of which so many of all elements are made."""
    counts = {
        name: count if count is None else count * made // size
        for name, count in (("flops", cost.flops), ("transcendentals", cost.transcendentals))
    }
    return replace(cost, **counts)


def _with_crossing(cost: Cost, crossing: Crossing) -> Cost:
    """Return a cost with the bytes that cross a fusion's boundary."""
    if crossing == _NOTHING and cost is ZERO:
        return ZERO
    read, written, on_chip = crossing
    return replace(cost, bytes_read=read, bytes_written=written, on_chip_bytes=on_chip)


def _price_call(
    call: Instruction, operands: Sequence[Shape], crossing: Crossing | None, spaces: MemorySpaces
) -> Cost:
    """Price a custom call by its rule; inside a fusion, what crosses the boundary is moved."""
    cost = price_custom_call(call, operands) or UNKNOWN
    if crossing is not None:
        return _with_crossing(cost, crossing)
    if not spaces.placed or cost.bytes_read is None or cost.bytes_written is None:
        return cost
    on_chip = spaces.sum([operand.bytes for operand in operands], operands)
    on_chip += spaces.on_chip(call.shape.bytes, call.shape)
    return replace(cost, on_chip_bytes=min(on_chip, cost.bytes_read + cost.bytes_written))


def _uncounted_ops(fusion: Node, inner: Sequence[Node]) -> set[str]:
    """Name the inner ops that XLA does not count.

    XLA costs a custom fusion that gathers or scatters as that one op: the rest of its body
    stands for indices that the kernel computes on the side.
    """
    gathers = any(node.opcode in opcodes.INDEXED for node in inner)
    if fusion.instruction.fusion_kind != "kCustom" or not gathers:
        return set()
    priced = opcodes.INDEXED | {"custom-call"}
    return {node.name for node in inner if node.opcode not in priced}


_ROUNDS = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1, "all-to-all": 1}
"""How often (n - 1) / n of the bytes go round the ring."""


def wire_bytes(instruction: Instruction, operands: Sequence[Shape], module: Module) -> int | None:
    """Return the bytes that each device sends in a collective op (or its ``-start``), rounded up.

    None where they depend on the data (ragged-all-to-all), or all devices take part and the module
    does not say how many there are.
    """
    collective = instruction.collective
    opcode = instruction.opcode.removesuffix("-start")
    if collective is None:
        return None
    sent = sum(operand.bytes for operand in operands)
    if opcode == "collective-permute":
        if len(operands) > 1 and instruction.shape.dtype != "tuple":
            return None  # It sends slices of its first operand, and which ones HLO does not show.
        moves = any(source != target for source, target in collective.source_target_pairs)
        return sent if moves else 0
    if opcode == "send":
        return sent
    devices = _group_size(opcode, collective, module)
    if devices is None or devices < 1:
        return None
    if opcode in opcodes.PASSED_ALONG:
        return sent if devices > 1 else 0
    if opcode not in _ROUNDS:
        return None
    if opcode == "all-gather":
        parts = instruction.shape.elements
        # The start of one hands on its operands too.
        hands_on = opcode != instruction.opcode and len(parts) == 2
        sent = parts[1].bytes if hands_on else instruction.shape.bytes
    return -(-_ROUNDS[opcode] * (devices - 1) * sent // devices)


def _group_size(opcode: str, collective: Collective, module: Module) -> int | None:
    """Count the devices of the largest group.

    What a group's numbers stand for follows from the channel and the flag for global ids
    (XLA's ``CollectiveOpGroupMode``): replicas, partitions, devices, or replicas each with all
    of their partitions.
    """
    replicas, partitions = module.replica_count, module.partition_count
    size = collective.group_size
    if collective.channel_id is None:
        return size or replicas
    if opcode in opcodes.GROUPED_BY_PARTITION:
        return size or partitions
    if size and collective.use_global_device_ids:
        return size
    groups = size or replicas
    return None if groups is None or partitions is None else groups * partitions
