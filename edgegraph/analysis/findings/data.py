"""Rules about data that is moved or multiplied without need: padding, dtypes, layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgegraph.analysis.findings.registry import (
    Evidence,
    Share,
    bytes_of,
    common_layer,
    costly,
    register_finding,
)
from edgegraph.base.units import percent, si
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_tree import Kernel
from edgegraph.results.analysis import Finding, OpRecord

if TYPE_CHECKING:
    from edgegraph.hlo.module import Shape

PADDED = 0.1
"""Share of the products' FLOPs that multiply padding: matrix units round every extent up, so that
some padding is in every program; a tenth is more than the choice of a batch size or width costs."""

LEAST_FLOPS = 100_000
"""Matrix units do so many in much less than a microsecond."""

_MOST_STEPS = 8
"""From a kernel back to an argument; a damaged module may go round in a circle."""

MOVED_WITHOUT_NEED = 0.05
"""Share of the time in kernels that only convert or rearrange: below it, even all of it gone is
no more of a gain than a still machine's noise."""


@register_finding("padding-waste")
def padding_waste(evidence: Evidence) -> Iterator[Finding]:
    """Matrix units that multiply zeros because the model's extents do not fill them.

    The MACs are those of the model before it was compiled for a device that is not here, the
    FLOPs those of the compiled products. Where both are counted on the compiled program, FLOPs
    never exceed 2 x MACs, since XLA leaves out what falls on padding.
    """
    products = [
        op
        for op in evidence.analysis.op_records
        if op.macs and op.flops and op.opcode in opcodes.PRODUCTS
    ]
    padded = [op for op in products if _wasted(op) > PADDED * (op.flops or 0)]
    flops = sum(op.flops or 0 for op in products)
    wasted = sum(map(_wasted, padded))
    if wasted <= max(PADDED * flops, LEAST_FLOPS):
        return
    by_layer: Counter[str | None] = Counter()
    for op in padded:
        by_layer[op.layer] += _wasted(op)
    ((worst, most),) = by_layer.most_common(1)
    # A product that waits for memory has arithmetic to spare.
    slower_s = sum(
        (op.time_s or 0.0) * _wasted(op) / (op.flops or 1) for op in padded if op.bound == "compute"
    )
    yield Finding(
        rule="padding-waste",
        layer=common_layer(padded),
        seen=(
            f"{si(wasted, 'FLOP')}, {percent(wasted / flops)} of those of all matrix products,"
            f" multiply what the compiler put in to fill the matrix units;"
            f" {percent(most / wasted)} of them in {worst or 'ops of no layer'}"
        ),
        why="matrix units take blocks of a fixed size, and the model does not fill them",
        try_next=(
            "extents that are multiples of the unit's: 128 channels or features on a TPU, 8 on a"
            " GPU; a larger batch fills it too"
        ),
        numbers={
            "padding_flops": float(wasted),
            "product_flops": float(flops),
            "share": wasted / flops,
        },
        certainty="high",
        gain=min(1.0, slower_s / evidence.whole_s) if evidence.whole_s else None,
    )


@register_finding("dtype-conversions", compiled=True)
def dtype_conversions(evidence: Evidence) -> Iterator[Finding]:
    """Kernels that do nothing but write values down in another dtype."""
    kernels = _only(evidence, opcodes.CONVERSIONS)
    if not kernels or evidence.untrusted_times:
        return
    share = evidence.share(kernel.head for kernel in kernels)
    if share.value < MOVED_WITHOUT_NEED or evidence.is_brief(share.value * evidence.whole_s):
        return
    most_expensive = max(kernels, key=_cost)
    yield _moved(
        "dtype-conversions",
        kernels,
        share,
        "convert dtypes",
        f", {_named(most_expensive)}, goes from {_dtypes(evidence, most_expensive)}",
        "a conversion that is not fused with its neighbours reads and writes memory once more",
        "keep one dtype between the layers (param_dtype and dtype of Flax modules), and convert"
        " weights once, outside the step; a device without units for the narrow dtype converts"
        " every time, and runs faster without it",
    )


@register_finding("layout-changes", compiled=True)
def layout_changes(evidence: Evidence) -> Iterator[Finding]:
    """Kernels that do nothing but put values into another order in memory."""
    if evidence.untrusted_times:
        return
    kernels = _only(evidence, opcodes.REARRANGEMENTS)
    # Most programs have few of them, so that whether a copy keeps the layout is asked last.
    if evidence.share(kernel.head for kernel in kernels).value < MOVED_WITHOUT_NEED:
        return
    kernels = [kernel for kernel in kernels if _rearranges(evidence, kernel)]
    share = evidence.share(kernel.head for kernel in kernels)
    if share.value < MOVED_WITHOUT_NEED or evidence.is_brief(share.value * evidence.whole_s):
        return
    of_weights = [kernel for kernel in kernels if _origin(evidence, kernel) in evidence.kept]
    of_values = [kernel for kernel in kernels if kernel not in of_weights]
    if of_weights:
        yield _moved(
            "layout-changes",
            of_weights,
            evidence.share(kernel.head for kernel in of_weights),
            "write weights in another order, at every call",
            f" is {_named(max(of_weights, key=_cost))}",
            "the program keeps them in an order that its kernels do not take",
            "store them in the order that is used, or bake them in: weights that the function"
            " closes over are constants, which XLA rewrites once",
        )
    if of_values:
        order = "" if _is_channels_last(evidence) else "channels last (NHWC) throughout, "
        yield _moved(
            "layout-changes",
            of_values,
            evidence.share(kernel.head for kernel in of_values),
            "transpose or copy into another layout",
            f" is {_named(max(of_values, key=_cost))}",
            "what makes a value and what uses it want it in different orders, so it is moved twice",
            f"{order}einsum in place of transpose and matmul, or the order that the next op takes",
        )


def _origin(evidence: Evidence, kernel: Kernel[OpRecord]) -> str:
    """Return the name of what a kernel moves, before what only gives it another shape."""
    moved = evidence.instruction(kernel.head)
    for _ in range(_MOST_STEPS):
        if len(moved.operands) != 1:
            break
        moved = evidence.instructions[moved.operands[0]]
        if moved.opcode not in opcodes.REARRANGEMENTS | opcodes.CONVERSIONS | {"bitcast"}:
            break
    return moved.name


def _is_channels_last(evidence: Evidence) -> bool:
    """Return whether channels come last in every convolution, or there is none to ask."""
    known = [
        each.convolution.input_feature == len(each.convolution.input_spatial) + 1
        for each in evidence.instructions.values()
        if each.convolution is not None
    ]
    return all(known)


def _moved(
    rule: str,
    kernels: Sequence[Kernel[OpRecord]],
    share: Share,
    purpose: str,
    most_expensive: str,
    why: str,
    try_next: str,
) -> Finding:
    """Return the finding about kernels that move data for one purpose only."""
    moved = sum(bytes_of(kernel.head) for kernel in kernels)
    runs = "kernels run" if len(kernels) != 1 else "kernel runs"
    return Finding(
        rule=rule,
        layer=common_layer(kernel.head for kernel in kernels),
        seen=(
            f"{len(kernels)} {runs} only to {purpose}: {si(moved, 'B')} moved,"
            f" {percent(share.value)} of {share.of}; the most expensive{most_expensive}"
        ),
        why=why,
        try_next=try_next,
        numbers={"kernels": float(len(kernels)), "bytes": float(moved), "share": share.value},
        certainty=share.certainty,
        share=share.value,
        gain=share.value,
    )


def _wasted(op: OpRecord) -> int:
    """Return the FLOPs of a product beyond those that the model asks for."""
    return max(0, (op.flops or 0) - 2 * (op.macs or 0))


def _only(evidence: Evidence, wanted: frozenset[str]) -> list[Kernel[OpRecord]]:
    """Return the kernels whose costs all come from ops of certain opcodes."""
    return [
        kernel
        for kernel in evidence.kernels
        if (ops := evidence.costly[kernel.name]) and all(op.opcode in wanted for op in ops)
    ]


def _rearranges(evidence: Evidence, kernel: Kernel[OpRecord]) -> bool:
    """Return whether a kernel changes the order in memory; a copy may be one for its own sake."""
    return any(
        op.opcode != "copy" or _source(evidence, op).layout != evidence.instruction(op).shape.layout
        for op in costly(kernel)
    )


def _dtypes(evidence: Evidence, kernel: Kernel[OpRecord]) -> str:
    """Describe from what to what a kernel converts: ``f32 to bf16``."""
    ops = costly(kernel)
    source = _source(evidence, ops[0]).dtype
    between, result = (evidence.instruction(ops[end]).shape.dtype for end in (0, -1))
    return f"{source} to {between} and back" if source == result else f"{source} to {result}"


def _source(evidence: Evidence, op: OpRecord) -> Shape:
    """Return the shape of what an op takes; its own in a damaged module where it takes nothing."""
    instruction = evidence.instruction(op)
    taken = instruction.operands[0] if instruction.operands else instruction.name
    return evidence.instructions[taken].shape


def _cost(kernel: Kernel[OpRecord]) -> tuple[float, int]:
    return kernel.head.time_s or 0.0, bytes_of(kernel.head)


def _named(kernel: Kernel[OpRecord]) -> str:
    layer = kernel.head.layer
    return kernel.head.name if layer is None else f"{kernel.head.name} ({layer})"
