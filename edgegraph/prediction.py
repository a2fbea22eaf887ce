"""The time to expect of every op on a calibrated machine.

A roof bounds a time from below; the calibration's table (`edgegraph.device.kernel_rates`) tells
what kernels of a kind and size take in fact. A kernel is expected to take

    launch + max(products, other arithmetic, data)

where each is its work over the rate that its measured neighbours reached. The range is that in
which the table's own kernels lie when the others tell their rate, four times of five.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from edgegraph.bulk import bulk
from edgegraph.device.device import Device
from edgegraph.device.kernel_rates import Expected, KernelRates, convolution_kind
from edgegraph.graph import Node
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.hlo.op_tree import OpTree
from edgegraph.kernel_times import distribute
from edgegraph.results.records import OpRecord, main_memory_bytes


@bulk
def with_expected_times(
    nodes: Sequence[Node], records: Sequence[OpRecord], device: Device | None
) -> tuple[OpRecord, ...]:
    """Put the times to expect on the records.

    Args:
        nodes: All nodes, containers before their contents.
        records: Of the nodes, in the same order.
        device: With the table of kernels that a calibration measured; of one without, nothing is
            expected.
    """
    if device is None or not device.kernel_rates:
        return tuple(records)
    tree, node_of = OpTree(records), {node.name: node for node in nodes}
    shapes = {node.name: node.instruction.shape for node in nodes}
    rates = KernelRates(device.kernel_rates, device.peak_flops_per_s)
    model = _Model(rates, device.op_launch_s or 0.0, shapes)
    whole = {
        kernel.name: model.kernel_s([(node_of[op.name], op) for op in kernel.leaves])
        for kernel in tree.kernels
    }
    times = distribute(whole, tree)
    found = []
    for record in records:
        if record.name not in times:
            found.append(record)
            continue
        middle, low, high = times[record.name]
        found.append(
            replace(record, expected_time_s=middle, expected_low_s=low, expected_high_s=high)
        )
    return tuple(found)


class _Model:
    """Expects times of kernels."""

    def __init__(self, rates: KernelRates, launch_s: float, shapes: Mapping[str, Shape]) -> None:
        self._rates = rates
        self._launch_s = launch_s
        self._shapes = shapes

    def kernel_s(self, ops: Sequence[tuple[Node, OpRecord]]) -> tuple[float, float, float]:
        """Return the time of all executions of a kernel, and its range, from the ops in it."""
        times = _times(ops[0][1])  # what is in one kernel runs together
        products_s, factor = 0.0, 1.0
        bytes_, floor_s = 0, 0.0
        kind = "elementwise"
        for node, record in ops:
            opcode = node.opcode
            if opcode in opcodes.WINDOWED:
                kind = "pooling"
            elif opcode == "reduce" and kind != "pooling":
                kind = "reduction"
            elif opcode in opcodes.COPIES and kind == "elementwise":
                kind = "copy"
            compute_s, memory_s = record.compute_time_s or 0.0, record.memory_time_s or 0.0
            floor_s = max(floor_s, compute_s, memory_s)
            if memory_s:
                bytes_ += main_memory_bytes(record) or 0
            expected = self._product(node, record) if record.macs and record.flops else None
            if expected is not None and record.flops:
                took = record.flops / expected.rate_per_s
                factor = expected.factor if took > products_s else factor
                products_s += took
        if products_s:
            kind = "reduction"  # which reads much and writes little, as products do
        moved = self._rates.expect(kind, "f32", max(1, bytes_ // max(1, times)))
        moves_s = floor_s if moved is None else bytes_ / moved.rate_per_s
        if moved is not None and moves_s > products_s:
            factor = moved.factor
        work_s = max(products_s, moves_s, floor_s)
        launch_s = self._launch_s * times
        return (
            launch_s + work_s,
            max(floor_s, launch_s + work_s / factor),
            launch_s + work_s * factor,
        )

    def _product(self, node: Node, record: OpRecord) -> Expected | None:
        instruction = node.instruction
        operands = [self._shapes[operand] for operand in node.operands]
        found = product_sizes(instruction, operands)
        if found is None:
            return None
        kind, (rows, columns, depth) = found
        return self._rates.expect(kind, record.dtype or "f32", rows, columns, depth)


def product_sizes(
    instruction: Instruction, operands: Sequence[Shape]
) -> tuple[str, tuple[int, int, int]] | None:
    """See a dot or convolution as a matrix product: kind, and rows, columns and depth.

    Example:
        >>> from edgegraph.hlo.module import DotDimensions
        >>> dot = Instruction(name="d", opcode="dot", shape=Shape(dtype="f32", dimensions=(8, 32)),
        ...     dot=DotDimensions(lhs_contracting=(1,), rhs_contracting=(0,), lhs_batch=(),
        ...                       rhs_batch=()))
        >>> product_sizes(dot, [Shape(dtype="f32", dimensions=(8, 64)),
        ...                     Shape(dtype="f32", dimensions=(64, 32))])
        ('dot', (8, 32, 64))
    """
    result = max(1, instruction.shape.size)
    if instruction.opcode in opcodes.DOTS and instruction.dot is not None and operands:
        left, dims = operands[0].dimensions, instruction.dot
        depth = _product_of(left[i] for i in dims.lhs_contracting)
        batch = _product_of(left[i] for i in dims.lhs_batch)
        rows = max(1, operands[0].size // max(1, depth * batch))
        return "dot", (rows, max(1, result // (rows * batch)), depth)
    numbers = instruction.convolution
    if instruction.opcode == "convolution" and numbers is not None and len(operands) > 1:
        kernel = operands[1].dimensions
        depth = _product_of(kernel[i] for i in numbers.kernel_spatial)
        depth *= kernel[numbers.kernel_input_feature]
        columns = instruction.shape.dimensions[numbers.output_feature]
        kind = convolution_kind(
            instruction.feature_group_count, kernel[numbers.kernel_input_feature]
        )
        return kind, (max(1, result // max(1, columns)), columns, depth)
    return None


def _product_of(sizes: Iterable[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _times(record: OpRecord) -> int:
    return 1 if record.executions is None else record.executions
