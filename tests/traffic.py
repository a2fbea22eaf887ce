"""What an op may move at most, from its shapes alone: more would stand above its roof."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from edgegraph.hlo import opcodes
from edgegraph.hlo.module import BITS_BY_DTYPE, Computation, Instruction, Shape
from edgegraph.results.analysis import Analysis


def beyond(analysis: Analysis) -> list[str]:
    """Say of each kernel that it counts more bytes than its operands and results have.

    Of what a fusion looks up in an operand, only the rows count.
    """
    computations = analysis.module.computations
    found = {each.name: each for one in computations.values() for each in one.instructions}
    said = []
    for kernel in analysis.op_tree.kernels:
        record = kernel.head
        instruction = found.get(record.name.rpartition("/")[2])
        if instruction is None or not record.executions or instruction.opcode == "custom-call":
            continue
        shapes = [found[name].shape for name in instruction.operands]
        inside = computations[instruction.called[0]] if instruction.opcode == "fusion" else None
        parts = map(_bytes, shapes) if inside is None else _read(inside, shapes, computations)
        most = {"bytes_read": sum(parts), "bytes_written": _bytes(instruction.shape)}
        for name, limit in most.items():
            counted = getattr(record, name)
            if counted is not None and counted > limit * record.executions:
                said.append(f"{record.name}: {name} {counted:,} > {limit * record.executions:,}")
    return said


def _bytes(shape: Shape) -> int:
    return sum(map(_array_bytes, shape.leaves()))


def _array_bytes(shape: Shape, size: int | None = None) -> int:
    count = shape.size if size is None else size
    return math.ceil(count * BITS_BY_DTYPE.get(shape.dtype, 0) / 8)


def _read(
    fusion: Computation, shapes: list[Shape], computations: Mapping[str, Computation]
) -> Iterator[int]:
    for each in fusion.instructions:
        if each.opcode == "parameter":
            shape = shapes[each.parameter_number or 0]
            yield _read_of(fusion, each, shape, computations)


def _read_of(
    fusion: Computation, given: Instruction, shape: Shape, computations: Mapping[str, Computation]
) -> int:
    """Count what is read of an operand of a fusion at most, as XLA's cost analysis does.

    Source: openxla/xla, ``HloCostAnalysis::FusionParameterReadBytes``; of a gather the rows.
    """
    size, shared = 0, given.name == fusion.root
    for user in fusion.instructions:
        for position, operand in enumerate(user.operands):
            if operand != given.name:
                continue
            if user.opcode in opcodes.LOOKUPS and position == 0:
                size += min(_array_bytes(shape, user.shape.size), _bytes(shape))
            elif user.opcode == "broadcast":
                size += _bytes(shape)
            elif user.opcode == "fusion":
                inner = computations[user.called[0]]
                taken = next(
                    each for each in inner.instructions if each.parameter_number == position
                )
                size += _read_of(inner, taken, shape, computations)
            else:
                shared = True
    return size + (_bytes(shape) if shared else 0)
