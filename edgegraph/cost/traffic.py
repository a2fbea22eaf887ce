"""Bytes: across a fusion's boundary, unfused, on the chip, and on the wire.

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

from collections import defaultdict
from collections.abc import Mapping, Sequence

from edgegraph.cost.xla_cost import XlaPrice, XlaPricer
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Collective, Instruction, Module, Shape
from edgegraph.hlo.op_tree import OpTree

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
    moved = _gathered_bytes(instruction) if opcode == "all-gather" else sent
    return -(-_ROUNDS[opcode] * (devices - 1) * moved // devices)


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


def _gathered_bytes(instruction: Instruction) -> int:
    """Return the bytes of an all-gather's result; the start of one hands on its operands too."""
    if instruction.opcode == "all-gather-start" and len(instruction.shape.elements) == 2:
        return instruction.shape.elements[1].bytes
    return instruction.shape.bytes


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
        """Return the bytes that stay on the chip, of `moved` bytes read or written of a value.

        The arrays of a tuple share what is moved by their sizes.
        """
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
