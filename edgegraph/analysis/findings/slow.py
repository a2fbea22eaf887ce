"""Rules about what XLA's CPU backend has no fast kernel for: dtypes of products, and functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from edgegraph.analysis.findings.registry import (
    LARGE_SHARE,
    Evidence,
    Share,
    bytes_of,
    common_layer,
    once,
    register_finding,
)
from edgegraph.analysis.kernel_work import product_sizes
from edgegraph.base.units import percent, seconds, si
from edgegraph.device.kernel_rates import FUNCTIONS, KernelRates, function_kind, loop_kind
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.op_tree import Kernel
from edgegraph.results.analysis import Finding, OpRecord

LOOPED = 0.01
"""Share of the FLOPs in products without a library. Such a loop may run at a hundredth of what a
library reaches (sizes that are powers of two) and less, where that share is half of the time."""

FEWEST_FLOPS = 20_000
"""A plain loop does so many in some ten microseconds."""

_VALUE_BYTES = 4

FEWEST_VALUES = 1000
"""A function of fewer takes some microseconds at most, about as much as starting its kernel."""

_INSTEAD = {
    "atan2": "jnp.arctan of a quotient (2 * jnp.arctan(x / (1 + jnp.sqrt(1 - x * x))) for"
    " jnp.arcsin(x)), which jax 0.12 computes many at a time; or of fewer values",
    "cbrt": "jnp.sign(x) * jnp.exp(jnp.log(jnp.abs(x)) / 3)",
    "power": "x ** 7 in place of x ** 7.0, since whole exponents are multiplied out; for others"
    " jnp.exp(p * jnp.log(x)) where x is positive",
    "remainder": "x - 3.0 * jnp.floor(x / 3.0) in place of x % 3.0",
    "tan": "jnp.sin(x) / jnp.cos(x)",
}
"""What is quicker on a CPU, and the same but for rounding."""


@once
def looped_products(evidence: Evidence) -> Sequence[OpRecord]:
    """Return the products of a CPU program that run as plain loops, for want of a library."""
    if evidence.analysis.target != "cpu":
        return ()
    return [
        op
        for kernel in evidence.kernels
        for op in kernel.leaves
        if op.opcode in opcodes.PRODUCTS and _is_looped(evidence, op, kernel.head)
    ]


def _is_looped(evidence: Evidence, op: OpRecord, head: OpRecord) -> bool:
    instruction = evidence.instruction(op)
    if loop_kind(instruction, evidence.instruction(head)) is None:
        return False
    shapes = [evidence.instructions[name].shape for name in instruction.operands]
    found = product_sizes(instruction, shapes)
    return found is not None and min(found[1][:2]) > 1


def looped_places(evidence: Evidence) -> set[tuple[str, str]]:
    """Return layer and phase of products that run as plain loops: no roof says what binds them."""
    return {(op.layer or UNATTRIBUTED, op.phase) for op in looped_products(evidence)}


@register_finding("no-library-kernel", compiled=True)
def no_library_kernel(evidence: Evidence) -> Iterator[Finding]:
    """Products in a dtype that no library of the CPU multiplies."""
    looped = looped_products(evidence)
    flops = sum(op.flops or 0 for op in looped)
    if flops < max(LOOPED * evidence.whole_work, FEWEST_FLOPS):
        return
    largest = max(looped, key=lambda op: op.flops or 0)
    dtype = evidence.instruction(largest).shape.dtype
    count = f"{len(looped)} product{'s' * (len(looped) > 1)}"
    yield Finding(
        rule="no-library-kernel",
        layer=common_layer(looped),
        seen=(
            f"{count} of {si(flops, 'FLOP')} {'have' if len(looped) > 1 else 'has'} no library"
            f" kernel for the dtype: {largest.name}, the largest, makes {dtype}"
        ),
        why=(
            "XLA's CPU backend multiplies it in plain loops, which take up to a hundred times as"
            " long as a library and more, however few bytes the dtype has"
        ),
        try_next=(
            "ask for int32 sums: jax.lax.dot(x, w, preferred_element_type=jnp.int32), with operands"
            " in int8 where the values allow (convolutions: channels last, too), and narrow the"
            " result afterwards; or float32"
        ),
        numbers={"products": float(len(looped)), "flops": float(flops)},
        certainty="high",
        share=_share(evidence, looped, flops / evidence.whole_work / LOOPED),
    )


def _share(evidence: Evidence, ops: Sequence[OpRecord], work: float) -> float:
    """Return the share of the time: measured, else from so many times all the other work."""
    share = evidence.share(ops)
    return share.value if share.certainty == "high" else work / (work + 1)


@register_finding("slow-function", compiled=True)
def slow_function(evidence: Evidence) -> Iterator[Finding]:
    """Functions that take many times what it takes to move their values."""
    if evidence.analysis.target != "cpu" or evidence.untrusted_times:
        return
    values: Counter[str] = Counter()
    kernels = []
    for kernel in evidence.kernels:
        found = _functions(evidence, kernel)
        if found.total() * _VALUE_BYTES >= LARGE_SHARE * bytes_of(kernel.head):
            values += found
            kernels.append(kernel.head)
    if values.total() < FEWEST_VALUES:
        return
    taken_s = _calibrated_s(evidence, values)
    share = _share_of_time(evidence, kernels, taken_s)
    if share.value < LARGE_SHARE:
        return
    cost = "" if taken_s is None else f"; {seconds(taken_s)} as such functions were timed here"
    said = [f"{kind} of {si(count)} values" for kind, count in values.most_common()]
    yield Finding(
        rule="slow-function",
        layer=common_layer(kernels),
        seen=f"{', '.join(said)}: {percent(share.value)} of {share.of}{cost}",
        why=(
            "XLA's CPU backend computes it value by value, in several times what an exponential"
            " takes; neither its FLOPs nor its bytes show that"
        ),
        try_next="; ".join(f"for {kind} {_INSTEAD[kind]}" for kind, _ in values.most_common()),
        numbers={"values": float(values.total()), "share": share.value}
        | ({} if taken_s is None else {"functions_s": taken_s}),
        certainty=share.certainty,
        share=share.value,
    )


def _functions(evidence: Evidence, kernel: Kernel[OpRecord]) -> Counter[str]:
    """Count the values of which a kernel takes slow functions, in one call, by function."""
    found: Counter[str] = Counter()
    for op in kernel.leaves:
        if op.opcode in FUNCTIONS:
            shape = evidence.instruction(op).shape
            kind = function_kind(op.opcode, shape.dtype)
            if kind is not None:
                found[kind] += shape.size * (op.executions or 1)
    return found


def _calibrated_s(evidence: Evidence, values: Counter[str]) -> float | None:
    """Return what the functions take by the calibration; None where it did not time them."""
    device = evidence.analysis.device
    if device is None or device.guessed_from is not None:
        return None
    rates = KernelRates(device.kernel_rates)
    found = [(count, rates.expect(kind, "f32", count)) for kind, count in values.items()]
    known = [count / expected.rate_per_s for count, expected in found if expected is not None]
    return sum(known) if len(known) == len(found) else None


def _share_of_time(evidence: Evidence, kernels: Sequence[OpRecord], taken_s: float | None) -> Share:
    """Return the share of the time of some kernels, by what the functions in them take if known."""
    expected_s = evidence.analysis.totals.expected_time_s
    if evidence.analysis.op_trace is None and taken_s is not None and expected_s:
        return Share(min(1.0, taken_s / expected_s), "the expected time", "medium")
    return evidence.share(kernels)
