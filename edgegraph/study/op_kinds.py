"""Which kinds of op a program's arithmetic and its time go to, told alike on every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgegraph.cost.cost import known_sum
from edgegraph.graph import flatten
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.analysis import Analysis, OpRecord
from edgegraph.results.device_comparison import OpKind


def op_kinds(analysis: Analysis) -> tuple[OpKind, ...]:
    """Add up the ops of each kind, that of the most time first.

    A compiler's estimate is of a whole kernel: it goes to the kind of the products in it, to
    several kinds together where they are fused, and else to that of what takes most time.

    Args:
        analysis: Any analysis with times.

    Returns:
        Kinds without time and MACs are left out.
    """
    nodes = flatten(analysis.module)
    shapes = {node.name: node.instruction.shape for node in nodes}
    kinds: dict[str, str] = {}
    ops: dict[str, list[OpRecord]] = {}
    for node, record in zip(nodes, analysis.op_records, strict=True):
        counts = record.macs or record.time_s or record.compiler_time_s
        if counts and analysis.op_tree.is_leaf(record):
            operands = [shapes[operand] for operand in node.operands]
            kind = kinds[record.name] = kind_of(node.instruction, operands, record.macs)
            ops.setdefault(kind, []).append(record)
    estimates = _estimates(analysis.op_tree, kinds)
    found = [
        OpKind(
            kind=kind,
            ops=len(ops.get(kind, ())),
            macs=known_sum(record.macs for record in ops.get(kind, ())),
            flops=known_sum(record.flops for record in ops.get(kind, ())),
            time_s=sum(record.time_s or 0.0 for record in ops.get(kind, ())),
            compiler_time_s=estimates.get(kind),
        )
        for kind in dict.fromkeys((*ops, *estimates))
    ]
    return tuple(sorted(found, key=lambda kind: (-kind.time_s, -(kind.compiler_time_s or 0.0))))


def _estimates(tree: OpTree[OpRecord], kinds: Mapping[str, str]) -> dict[str, float]:
    """Add up the compiler's estimates of kernels, by the kinds of the products in each."""
    found: dict[str, float] = {}
    for kernel in tree.kernels:
        ops = [op for op in kernel.leaves if op.name in kinds]
        if ops and kernel.head.compiler_time_s is not None:
            products = sorted({kinds[op.name] for op in ops if op.macs})
            longest = max(ops, key=lambda op: op.time_s or 0.0)
            kind = " + ".join(products) or kinds[longest.name]
            found[kind] = found.get(kind, 0.0) + kernel.head.compiler_time_s
    return found


def kind_of(instruction: Instruction, operands: Sequence[Shape], macs: int | None) -> str:
    """Name the kind of an op.

    A convolution whose window is one element is a matrix product, as compilers see it too.

    Args:
        instruction: Of any target; the convolutions of a GPU are custom calls.
        operands: Shapes of its operands.
        macs: What it multiplies and adds.

    Example:
        >>> add = Instruction(name="a", opcode="add", shape=Shape(dtype="f32"))
        >>> kind_of(add, [], 0)
        'elementwise'
    """
    dimensions, groups = instruction.convolution, instruction.feature_group_count
    if dimensions is not None and operands:
        if groups > 1:
            channels = operands[0].dimensions[dimensions.input_feature]
            return "depthwise convolution" if channels == groups else "grouped convolution"
        spatial = any(axis.size > 1 for axis in instruction.window)
        return "convolution" if spatial else "matrix product"
    opcode = instruction.opcode
    if macs or opcode in opcodes.DOTS:
        return "matrix product"
    if opcode in opcodes.COLLECTIVES:
        return "collective"
    if opcode in opcodes.REDUCTIONS:
        return "reduction"
    if opcode in opcodes.MOVEMENTS:
        return "data movement"
    return "library call" if opcode == "custom-call" else "elementwise"
