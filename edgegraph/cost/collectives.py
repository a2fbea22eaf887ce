"""Bytes that collective ops put on the wire.

Counted for each device and in one direction: what it sends. The algorithms are the ring
algorithms, which move the fewest bytes that the op allows (Thakur, Rabenseifner and Gropp,
"Optimization of Collective Communication Operations in MPICH", 2005; NCCL's performance notes
call the same factors the bus bandwidth's). With n devices in a group and B bytes:

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

from collections.abc import Sequence

from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Collective, Instruction, Module, Shape

_ROUNDS = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1, "all-to-all": 1}
"""How often (n - 1) / n of the bytes go round the ring."""


def wire_bytes(instruction: Instruction, operands: Sequence[Shape], module: Module) -> int | None:
    """Return the bytes that each device sends in one execution of a collective op.

    Args:
        instruction: A collective op or the ``-start`` half of one.
        operands: Shapes of its operands, by position.
        module: The module it stands in, which may say how many devices there are.

    Returns:
        Bytes, rounded up; None where they depend on the data (ragged-all-to-all), or all
        devices take part and the module does not say how many there are.

    Example:
        All-reduce of 4 MiB over a ring of 8 devices:

        >>> gradients = Shape(dtype="f32", dimensions=(1024, 1024))
        >>> wire_bytes(Instruction(name="sum", opcode="all-reduce", shape=gradients,
        ...     collective=Collective(group_size=8)), [gradients],
        ...     Module(name="m", entry="e", computations={}))
        7340032
    """
    collective = instruction.collective
    opcode = instruction.opcode.removesuffix("-start")
    if collective is None:
        return None
    handed_in = sum(operand.bytes for operand in operands)
    if opcode == "collective-permute":
        if len(operands) > 1 and instruction.shape.dtype != "tuple":
            return None  # It sends slices of its first operand, and which ones HLO does not show.
        moves = any(source != target for source, target in collective.source_target_pairs)
        return handed_in if moves else 0
    if opcode == "send":
        return handed_in
    devices = _group_size(opcode, collective, module)
    if devices is None or devices < 1:
        return None
    if opcode in opcodes.PASSED_ALONG:
        return handed_in if devices > 1 else 0
    if opcode not in _ROUNDS:
        return None
    moved = _gathered_bytes(instruction) if opcode == "all-gather" else handed_in
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
    if collective.use_global_device_ids:
        return size or _product(replicas, partitions)
    return _product(size or replicas, partitions)


def _product(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second


def _gathered_bytes(instruction: Instruction) -> int:
    """Return the bytes of an all-gather's result; the start of one hands on its operands too."""
    if instruction.opcode == "all-gather-start" and len(instruction.shape.elements) == 2:
        return instruction.shape.elements[1].bytes
    return instruction.shape.bytes
