"""Rules about fusion: what it brings, where it computes twice, and where it costs time.

Two ops compute the same where they have the same opcode, shape and op_name, stand in different
fusions, and get the same values. What flows into a fusion is known by the name of what made it;
what is made inside is known by its own opcode, attributes and operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from edgegraph.analysis.findings.registry import (
    LEAST_S,
    Evidence,
    common_layer,
    costly,
    register_finding,
    work_of,
)
from edgegraph.base.units import percent, seconds, si
from edgegraph.hlo import opcodes
from edgegraph.hlo.identity import decoded
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.op_tree import Kernel
from edgegraph.results.analysis import Finding, OpRecord
from edgegraph.results.compiled_together import compare_together
from edgegraph.results.timing import LayerLatency, finest_cut
from edgegraph.results.verdicts import COST, GAINED, NO_DIFFERENCE, NOISY, OK, noise

if TYPE_CHECKING:
    from edgegraph.hlo.module import Instruction


Value = tuple[object, ...]
"""What tells values apart: equal for equal values."""


Occurrence = tuple[Kernel[OpRecord], OpRecord]
"""An op and the fusion that it stands in."""


def recomputed(evidence: Evidence, *, at_least: float) -> Sequence[Occurrence]:
    """Return every op that an earlier fusion computed already, with the fusion it stands in.

    Products are left out: XLA does not compute them twice. Where names and shapes show less work
    (FLOPs and transcendentals) than `at_least`, the module is not looked at.
    """
    candidates = _candidates(evidence, at_least)
    if sum(work_of(op) for occurrences in candidates for _, op in occurrences[1:]) < at_least:
        return ()
    values = _Values(evidence)
    found: list[Occurrence] = []
    for occurrences in candidates:
        first: dict[object, Kernel[OpRecord]] = {}
        for kernel, op in occurrences:
            value = values.of(kernel, op)
            if value is not None:
                maker = first.setdefault((kernel.head.parent, value), kernel)
                if maker is not kernel:
                    found.append((kernel, op))
    return found


def _candidates(evidence: Evidence, at_least: float) -> Sequence[Sequence[Occurrence]]:
    """Group the ops that look alike and stand in more than one fusion."""
    # What is computed twice flows into something else inside the fusion.
    fusions = [kernel for kernel in evidence.kernels if kernel.is_fusion]
    if sum(work_of(k.head) - 2 * (k.head.macs or 0) for k in fusions) < at_least or not fusions:
        return ()
    # Even if all smaller ones were computed twice, together they would not matter.
    least = at_least / sum(len(kernel.ops) for kernel in fusions)
    alike: dict[tuple[str, str, str], list[Occurrence]] = {}
    for kernel in fusions:
        for op in kernel.ops:
            if (op.flops or 0) + (op.transcendentals or 0) > least and not op.macs:
                alike.setdefault((op.op_name, op.opcode, op.shape), []).append((kernel, op))
    return [
        occurrences for occurrences in alike.values() if occurrences[0][0] is not occurrences[-1][0]
    ]


class _Values:
    """Knows what flows where inside fusions."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._inside: dict[str, Mapping[str, int]] = {}
        self._numbers: dict[Value, int] = {}

    def of(self, kernel: Kernel[OpRecord], op: OpRecord) -> int | None:
        """Number the value that an op computes, alike for equals; None inside an inner fusion."""
        fusion = self._evidence.instruction(kernel.head)
        if fusion.name not in self._inside:
            self._inside[fusion.name] = self._number(fusion)
        return self._inside[fusion.name].get(op.name.rpartition("/")[2])

    def _number(self, fusion: Instruction) -> Mapping[str, int]:
        """Number the values in a fusion, operands before users as they stand there."""
        numbers: dict[str, int] = {}
        for instruction in self._evidence.module.computations[fusion.called[0]].instructions:
            value = _value(fusion, instruction, numbers)
            numbers[instruction.name] = self._numbers.setdefault(value, len(self._numbers))
        return numbers


def _value(fusion: Instruction, instruction: Instruction, numbers: Mapping[str, int]) -> Value:
    parameter = instruction.parameter_number
    if parameter is not None and parameter < len(fusion.operands):
        return ("flows in", fusion.operands[parameter])
    nested = instruction.called and instruction.opcode != "reduce"
    if instruction.opcode in opcodes.OPAQUE or nested:
        return ("made by", instruction.name)
    # These two have a value or a function, which is identified by its origin.
    named = instruction.opcode in ("constant", "reduce")
    return (
        instruction.opcode,
        str(instruction.shape),
        *decoded(instruction),
        instruction.op_name if named else "",
        *(numbers.get(operand, operand) for operand in instruction.operands),
    )


LayerPhase = tuple[str, str]
"""A layer and its phase."""

FEWEST_LAYERS = 2
"""Phases of what is of no layer are no parts that a compiler could keep apart."""

RECOMPUTED = 0.05
"""Share of the program's work that is done twice: below it, even work that no transfer hides
makes no more of a difference than a still machine's noise."""

LEAST_GAIN = 0.01
"""Of the time at the roof: what waits for memory computes twice for nothing."""

LIBRARY_LOSS = 0.2
"""By how much a fusion must be slower than its layers alone. The profiler that times the fusion
slows ops down by up to an eighth, and alone each layer finds the caches to itself."""


@register_finding("compiled-together", compiled=True)
def compiled_together(evidence: Evidence) -> Iterator[Finding]:
    """What compiling the layers together gained or cost, against each compiled alone."""
    analysis = evidence.analysis
    finest = {each.depth for each in finest_cut(analysis.layer_latencies)}
    if len({each.layer for each in finest_cut(analysis.layer_latencies)}) < FEWEST_LAYERS:
        return
    for compared in compare_together(analysis.latency, analysis.layer_latencies):
        ours = compared.layer is None and compared.depth in finest
        if not ours or compared.verdict == NOISY or compared.change is None:
            continue
        outcome, why, advice = _TOGETHER[compared.verdict]
        fused = _widest_fusion(evidence)
        yield Finding(
            rule="compiled-together",
            layer=None,
            seen=(
                f"compiled together the layers take {seconds(compared.together_s)}, alone"
                f" {seconds(compared.alone_s)} in sum: {percent(abs(compared.change))} {outcome}"
                f" (noise {seconds(compared.noise_s)})"
                + (f"; XLA fuses {fused[1]} layers into {fused[0]}" if fused else "")
            ),
            why=why,
            try_next=advice,
            numbers={
                "together_s": compared.together_s,
                "alone_s": compared.alone_s,
                "noise_s": compared.noise_s,
                "change": compared.change,
            },
            certainty="medium",
            gain=compared.difference_s / compared.together_s if compared.verdict == COST else None,
        )


_TOGETHER = {
    GAINED: (
        "gained",
        "fusion keeps intermediates out of memory, and kernels need not wait for one another",
        "keep the model in one jit; edgegraph fusion SPEC tells what fusion has to do with it",
    ),
    COST: (
        "lost",
        "a fused kernel can be slower than its parts, and what one layer leaves in the caches"
        " another finds there only if it fits",
        "see with edgegraph fusion SPEC whether it is fusion that costs, and which one is slower"
        " than its parts",
    ),
    NO_DIFFERENCE: (
        "apart, which is no difference",
        "fusing across layers brings little here, or what it brings is lost elsewhere",
        "look at single layers; edgegraph fusion SPEC compares with and without fusion",
    ),
}
"""By verdict: what it is called, why that may be, and what to try."""


@register_finding("fusion-recomputes", compiled=True)
def fusion_recomputes(evidence: Evidence) -> Iterator[Finding]:
    """Fusions that each compute for themselves what they could hand to each other."""
    whole = evidence.whole_work
    twice = recomputed(evidence, at_least=RECOMPUTED * whole) if whole else ()
    work = sum(work_of(op) for _, op in twice)
    if not twice or work < RECOMPUTED * whole:
        return
    by_fusion: Counter[str] = Counter()
    for kernel, op in twice:
        by_fusion[kernel.name] += work_of(op)
    ((worst, _),) = by_fusion.most_common(1)
    arithmetic_s = sum(op.compute_time_s or 0.0 for _, op in twice)
    roof_s = evidence.analysis.totals.overlapped_time_s
    if roof_s is not None and arithmetic_s < max(LEAST_S, LEAST_GAIN * roof_s):
        return
    yield Finding(
        rule="fusion-recomputes",
        layer=common_layer(op for _, op in twice),
        seen=(
            f"{si(work, 'FLOP')} (transcendentals included), {percent(work / whole)} of all, are"
            f" computed again in {len(by_fusion)} fusion{'s' * (len(by_fusion) != 1)} for want of"
            f" an intermediate in memory; most of them in {worst}"
        ),
        why=(
            "XLA computes a cheap op again rather than keep its result; that pays where the"
            " fusion waits for memory, and costs where it waits for the arithmetic"
        ),
        try_next=(
            "compare with edgegraph fusion SPEC; where it costs, return the intermediate as a"
            " result too, so that XLA keeps it (a jit inside the jit does not make it)"
        ),
        numbers={
            "recomputed_operations": float(work),
            "share": work / whole,
            "fusions": float(len(by_fusion)),
            "compute_time_s": arithmetic_s,
        },
        certainty="medium",
        gain=min(1.0, arithmetic_s / evidence.whole_s) if evidence.whole_s else None,
    )


@register_finding("library-fusion-hurts", compiled=True)
def library_fusion_hurts(evidence: Evidence) -> Iterator[Finding]:
    """A fusion handed to a library that takes longer than its layers, each compiled alone."""
    if evidence.noisy:
        return
    alone: dict[LayerPhase, list[LayerLatency]] = {}
    for each in finest_cut(evidence.analysis.layer_latencies):
        alone.setdefault((each.layer, each.phase), []).append(each)
    for kernel, layers in _library_fusions(evidence):
        parts = [part for layer in layers for part in alone.get(layer, ())]
        covered = all(layer in alone for layer in layers)
        if not covered or any(part.covers or part.latency.verdict != OK for part in parts):
            continue
        # Launching them, and what of them runs outside of the fusion, is in here too: both speak
        # for the fusion, so that what is slower all the same is slower for sure.
        alone_s = sum(part.executions * part.latency.median_s for part in parts)
        noise_s = noise((part.latency, part.executions) for part in parts)
        fused_s = kernel.head.time_s or 0.0
        if fused_s <= alone_s * (1 + LIBRARY_LOSS) + noise_s:
            continue
        yield Finding(
            rule="library-fusion-hurts",
            layer=None,
            seen=(
                f"{kernel.head.name}, which runs ops of {len(layers)} layers, takes"
                f" {seconds(fused_s)}; the layers take {seconds(alone_s)} in sum, each compiled"
                f" and launched alone (noise {seconds(noise_s)})"
            ),
            why=(
                "a library runs this fusion as one; its kernels for it are slower here than"
                " those that run the layers one by one"
            ),
            try_next=(
                "measure without it: edgegraph fusion SPEC; on the CPU"
                " options={'xla_cpu_experimental_ynn_fusion_type': ''} takes it away"
            ),
            numbers={"fused_s": fused_s, "alone_s": alone_s, "noise_s": noise_s},
            certainty="medium",
            gain=min(1.0, (fused_s - alone_s) / evidence.whole_s),
        )


def _library_fusions(evidence: Evidence) -> Iterator[tuple[Kernel[OpRecord], Sequence[LayerPhase]]]:
    """Yield the timed fusions of several layers that a library runs, with these layers."""
    for kernel in evidence.kernels:
        if kernel.head.opcode != "fusion" or kernel.head.time_source != "measured":
            continue
        layers = list(dict.fromkeys((op.layer or UNATTRIBUTED, op.phase) for op in costly(kernel)))
        if len(layers) > 1 and evidence.instruction(kernel.head).fusion_kind == "kCustom":
            yield kernel, layers


def _widest_fusion(evidence: Evidence) -> tuple[str, int] | None:
    """Find the fusion that holds ops of the most layers, if of more than one."""
    name, most = "", 1
    for kernel in evidence.kernels:
        if kernel.head.opcode == "fusion":
            held = {op.layer for op in costly(kernel) if op.layer and (op.flops or op.macs)}
            if len(held) > most:
                name, most = kernel.head.name, len(held)
    return (name, most) if name else None
