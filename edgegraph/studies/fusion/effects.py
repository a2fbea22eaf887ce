"""Every fusion of a program against its operations in the program without fusion."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from edgegraph.cost.xla_cost import unfused_bytes
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.op_tree import Kernel, launches
from edgegraph.measure import statistics
from edgegraph.results.analysis import Analysis, OpRecord
from edgegraph.results.verdicts import HELPS, HURTS, KNOWN_TO, NOISY, verdict_of
from edgegraph.studies.fusion.result import FusionEffect

Identity = tuple[str, str, str]
"""What tells operations apart in both programs: op_name, opcode, shape."""


def effects(rung: str, with_: Analysis, without: Analysis) -> Iterator[FusionEffect]:
    """Hold every fusion of a rung against the same operations in the program without any.

    Operations are the same that agree in op_name, opcode and shape. What XLA takes apart in one
    program and not in the other (a reduction in steps) is not found.
    """
    module = with_.module
    own = unfused_bytes(module, flatten(module))
    # XLA writes loops for all fusions that no library runs.
    libraries = {
        instruction.name
        for computation in module.computations.values()
        for instruction in computation.instructions
        if instruction.fusion_kind == "kCustom"
    }
    fused, alone = with_.op_tree.kernels, without.op_tree.kernels
    fused_counts, fused_works, alone_works = _counts(fused), _works(fused), _works(alone)
    times = _times(alone)
    noise = trace_noise(with_), trace_noise(without)
    for kernel in fused:
        if not kernel.is_fusion:
            continue
        record = kernel.head
        unfused = _unfused(kernel, times, fused_counts)
        measured = unfused is not None and unfused[1] and record.time_source == "measured"
        known = unfused is not None and record.time_s is not None
        yield FusionEffect(
            rung=rung,
            name=record.name,
            kind="library" if record.name.rpartition("/")[2] in libraries else "loop",
            layers=tuple(dict.fromkeys(op.layer for op in kernel.ops if op.layer is not None)),
            ops=len(kernel.ops),
            executions=record.executions,
            border_bytes=(record.bytes_read or 0) + (record.bytes_written or 0),
            own_bytes=own[record.name] * launches([kernel]),
            flops=sum(map(_work, kernel.ops)),
            recomputed_flops=_recomputed(kernel, fused_works, alone_works),
            time_s=record.time_s,
            unfused_time_s=None if unfused is None else unfused[0],
            time_source=("measured" if measured else "estimated") if known else None,
            verdict=fusion_verdict(record.time_s or 0.0, unfused[0], *noise)
            if unfused is not None and measured
            else None,
        )


def trace_noise(analysis: Analysis) -> float | None:
    """Return to what share of itself the median of the traced calls is known; None without any."""
    if analysis.op_trace is None:
        return None
    return statistics.uncertainty([run.ops_s for run in analysis.op_trace.runs])


def fusion_verdict(
    fused_s: float, unfused_s: float, fused_noise: float | None, unfused_noise: float | None
) -> str:
    """Say whether a fusion helps, as far as the traces' relative noise lets one tell."""
    if fused_noise is None or unfused_noise is None:
        return NOISY
    noise_s = math.hypot(fused_noise * fused_s, unfused_noise * unfused_s)
    sound = max(fused_noise, unfused_noise) <= KNOWN_TO
    return verdict_of(unfused_s, fused_s, noise_s, sound=sound, words=(HELPS, HURTS))


def _work(op: OpRecord) -> int:
    return (op.flops or 0) + (op.transcendentals or 0)


def _identity(op: OpRecord) -> Identity:
    return op.op_name, op.opcode, op.shape


def _counts(every: Sequence[Kernel[OpRecord]]) -> Counter[Identity]:
    return Counter(_identity(op) for kernel in every for op in kernel.ops)


def _works(every: Sequence[Kernel[OpRecord]]) -> Counter[Identity]:
    works: Counter[Identity] = Counter()
    for kernel in every:
        for op in kernel.ops:
            works[_identity(op)] += _work(op)
    return works


def _times(alone: Sequence[Kernel[OpRecord]]) -> dict[Identity, tuple[float, bool]]:
    """Return the time of every operation, and whether it was measured; several alike add up."""
    times: dict[Identity, tuple[float, bool]] = {}
    for kernel in alone:
        if kernel.head.time_s is None:
            continue
        # Where XLA leaves a few operations in one kernel after all, each takes its part.
        part = kernel.head.time_s / len(kernel.ops)
        for op in kernel.ops:
            spent, measured = times.get(_identity(op), (0.0, True))
            measured = measured and kernel.head.time_source == "measured"
            times[_identity(op)] = spent + part, measured
    return times


def _unfused(
    kernel: Kernel[OpRecord],
    times: Mapping[Identity, tuple[float, bool]],
    counts: Mapping[Identity, int],
) -> tuple[float, bool] | None:
    """Add up what the fusion's operations take without it; None where one is not found.

    An operation that stands in several fusions counts in each of them in part.
    """
    found = [(times.get(_identity(op)), counts[_identity(op)]) for op in kernel.ops]
    parts = [(time[0] / count, time[1]) for time, count in found if time is not None]
    if len(parts) < len(found):
        return None
    return sum(spent for spent, _ in parts), all(measured for _, measured in parts)


def _recomputed(
    kernel: Kernel[OpRecord], fused: Mapping[Identity, int], alone: Mapping[Identity, int]
) -> int:
    """Return its part of the work that fusions do besides what is done without them."""
    return sum(
        round(_work(op) * (fused[same] - alone[same]) / fused[same])
        for op in kernel.ops
        for same in [_identity(op)]
        if fused[same] > alone.get(same, 0) > 0
    )
