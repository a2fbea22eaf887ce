"""Rules about single layers: what binds each, and how near it comes to its roof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgegraph.analysis.findings.forms import remedy, timed_gain
from edgegraph.analysis.findings.registry import (
    LARGE_SHARE,
    LEAST_S,
    Evidence,
    register_finding,
)
from edgegraph.analysis.findings.slow import looped_places
from edgegraph.analysis.kernel_work import product_sizes
from edgegraph.base.units import percent, ratio, seconds, si
from edgegraph.device.device import Device
from edgegraph.device.kernel_rates import KernelRates
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import UNATTRIBUTED, scope_of
from edgegraph.results.analysis import Finding, LayerRecord, OpRecord
from edgegraph.results.compiled_together import what_if
from edgegraph.results.records import main_memory_bytes
from edgegraph.results.timing import LayerLatency, finest_cut
from edgegraph.results.verdicts import FAR_UNDER

_BYTES_BOUND = "the time follows the bytes moved; a faster processor would not help"
_WORK_BOUND = "the time follows the arithmetic; a larger batch buys little throughput"
_LARGER = 1.5
"""Times the batch that a larger one has to be to be called so."""

_WORTH = 1.1
"""Times a rate has to grow with the batch for a larger one to be advised."""


@register_finding("memory-bound-dense", compiled=True)
def memory_bound_dense(evidence: Evidence) -> Iterator[Finding]:
    """A layer of matrix products that waits for its weights."""
    for row, ops in _at_roofs(evidence):
        intensity, ridge = row.intensity_flops_per_byte, _ridge(evidence, ops)
        dense = row.bound == "memory" and _waits_for_products(row, ops)
        if not dense or intensity is None or ridge is None:
            continue
        seen = (
            f"{_name(row)} is memory-bound: it does {ratio(intensity)} FLOP per byte, and this"
            f" device needs {ratio(ridge)} to be busy; moving {si(row.bytes or 0, 'B')} takes"
            f" {seconds(row.memory_time_s)}, the arithmetic {seconds(row.compute_time_s)}"
        )
        numbers = {
            "intensity_flops_per_byte": intensity,
            "ridge_point_flops_per_byte": ridge,
            "memory_time_s": row.memory_time_s or 0.0,
            "compute_time_s": row.compute_time_s or 0.0,
        } | _reached(evidence, row)
        advice = _fewer_bytes(evidence.analysis.device)
        batch = evidence.analysis.batch
        if batch is not None:
            at_ridge = _batch_at_ridge(batch, row, intensity, ridge)
            numbers |= {} if at_ridge is None else {"batch_at_ridge_point": at_ridge}
            if at_ridge is None or (
                at_ridge >= _LARGER * batch and _batch_pays(evidence, ops, at_ridge / batch)
            ):
                advice += _larger_batch(at_ridge)
        yield Finding(
            rule="memory-bound-dense",
            layer=row.layer,
            seen=seen,
            why=_BYTES_BOUND,
            try_next=advice + remedy(evidence, row),
            numbers=numbers,
            certainty="high",
            phase=row.phase,
            share=row.share,
        )
    yield from _small_dense(evidence)


def _small_dense(evidence: Evidence) -> Iterator[Finding]:
    known = {(op.layer or UNATTRIBUTED, op.phase) for op in evidence.tree.leaves if _is_dense(op)}
    yield from _together(
        evidence,
        "memory-bound-dense",
        [row for row in _small(evidence, "memory") if (scope_of(row.layer), row.phase) in known],
        "layers with matrix products are memory-bound",
        _BYTES_BOUND,
        _fewer_bytes(evidence.analysis.device)
        + "; or a larger batch, since all inputs share one read of the weights"
        * (evidence.analysis.batch is not None),
    )


def _narrower(device: Device | None) -> list[str]:
    """Name the narrower dtypes that the device computes in faster than in float32."""
    peaks = {} if device is None else device.peak_flops_per_s
    f32 = peaks.get("f32", 0.0)
    dtypes = {"bfloat16": "bf16", "int8": "s8"}
    return [name for name, dtype in dtypes.items() if peaks.get(dtype, 0.0) > f32]


def _fewer_bytes(device: Device | None) -> str:
    """Advise narrower weights where this device does not compute more slowly in them."""
    narrower = ", ".join(_narrower(device))
    return "fewer bytes, not fewer FLOPs: smaller" + (
        f" or narrower weights ({narrower})" if narrower else " weights"
    )


def _fewer_macs(evidence: Evidence, ops: Iterable[OpRecord]) -> str:
    """Advise what needs fewer MACs; XLA's CPU backend is slow at some of it as it is written."""
    how = "fewer channels, depthwise-separable or grouped convolution"
    if evidence.analysis.target == "cpu":
        how += " in the form that `edgegraph improve` gives it"
    if not any(op.opcode == "convolution" and not _is_dense(op) for op in ops):
        how = "smaller matrices, or fewer of them"
    dtypes = " or ".join(_narrower(evidence.analysis.device))
    return f"fewer MACs ({how})" + (f", or {dtypes}, whose peak is higher here" if dtypes else "")


def _batch_pays(evidence: Evidence, ops: Sequence[OpRecord], times: float) -> bool:
    """Whether a layer's largest product is known to gain by a batch so many times larger.

    Where kernels like it were not measured, its roof says so.
    """
    device = evidence.analysis.device
    largest = max(ops, key=lambda op: op.macs or 0)
    instruction = evidence.instruction(largest)
    shapes = [evidence.instructions[name].shape for name in instruction.operands]
    found = product_sizes(instruction, shapes)
    if device is None or found is None:
        return True
    kind, (rows, columns, depth) = found
    rates = KernelRates(device.kernel_rates, device.peak_flops_per_s)
    now, then = (
        rates.expect(kind, largest.dtype or "f32", round(rows * factor), columns, depth)
        for factor in (1, times)
    )
    return now is None or then is None or then.rate_per_s > _WORTH * now.rate_per_s


def _larger_batch(batch: float | None) -> str:
    """Advise on the batch from which arithmetic binds, if there is one."""
    if batch is None:
        return (
            "; a larger batch does not reach the ridge point, since each input brings too many"
            " bytes of its own"
        )
    return (
        "; or a larger batch, since all inputs share one read of the weights (about"
        f" {batch:.0f} would reach the ridge point)"
    )


@register_finding("compute-bound-layer", compiled=True)
def compute_bound_layer(evidence: Evidence) -> Iterator[Finding]:
    """A layer whose arithmetic, not its data, takes the time."""
    for row, ops in _at_roofs(evidence):
        if row.bound != "compute" or not row.macs:
            continue
        intensity, ridge = row.intensity_flops_per_byte, _ridge(evidence, ops)
        if intensity is None or ridge is None:
            continue
        numbers = {
            "intensity_flops_per_byte": intensity,
            "ridge_point_flops_per_byte": ridge,
            "flops": float(row.flops or 0),
            "compute_time_s": row.compute_time_s or 0.0,
        } | _reached(evidence, row)
        known = "efficiency" in numbers
        reached = f"; it runs at {percent(row.efficiency)} of the peak" if known else ""
        yield Finding(
            rule="compute-bound-layer",
            layer=row.layer,
            seen=(
                f"{_name(row)} is compute-bound: {si(row.flops, 'FLOP')} at {ratio(intensity)} FLOP"
                f" per byte, above the ridge point of {ratio(ridge)}{reached}"
            ),
            why=_WORK_BOUND,
            try_next=_fewer_macs(evidence, ops) + remedy(evidence, row),
            numbers=numbers,
            certainty="high",
            phase=row.phase,
            share=row.share,
        )
    yield from _together(
        evidence,
        "compute-bound-layer",
        [row for row in _small(evidence, "compute") if row.macs],
        "layers are compute-bound",
        _WORK_BOUND,
        _fewer_macs(evidence, evidence.tree.leaves),
    )


@register_finding("far-under-the-roof", compiled=True)
def far_under_the_roof(evidence: Evidence) -> Iterator[Finding]:
    """A layer that takes much longer than either roof explains, beyond the noise."""
    gains = {(each.layer, each.phase): each for each in what_if(evidence.analysis.layer_records)}
    for row, ops in evidence.large_layers:
        gain_share = gains[row.layer, row.phase].gain_share or 0.0
        if row.efficiency is None or row.bound == "overhead" or not _is_far(evidence, row):
            continue
        if (row.time_s or 0.0) < LEAST_S * evidence.launches[scope_of(row.layer), row.phase]:
            continue  # starting its kernels explains it
        faster = timed_gain(evidence, row)
        numbers = {"time_s": row.time_s or 0.0, "efficiency": row.efficiency}
        numbers["gain_share"] = gain_share
        noisy = "; its fastest calls are far from it, too" * evidence.noisy
        yield Finding(
            rule="far-under-the-roof",
            layer=row.layer,
            seen=(
                f"{_name(row)} takes {seconds(row.time_s)}, {ratio(1 / row.efficiency)} times what"
                f" its {row.bound} roof allows; at the roof the layers together would take"
                f" {percent(gain_share)} less{noisy}"
                if row.efficiency > 0
                else f"{_name(row)} takes {seconds(row.time_s)} and hardly computes or moves"
            ),
            why=(
                "neither the arithmetic nor the bytes explain its time: the kernel is slow, or"
                " it moves data that fusion would save"
            ),
            try_next=(
                _grouped_advice(evidence, ops)
                or f"look at its ops{_by_line(row)}: layout changes, small loops, an unfused"
                " intermediate"
            )
            + remedy(evidence, row),
            numbers=numbers | ({} if faster is None else {"gain_alone": faster}),
            certainty="low" if evidence.noisy else "medium",
            phase=row.phase,
            share=row.share,
            gain=gain_share,
        )


def _reached(evidence: Evidence, row: LayerRecord) -> dict[str, float]:
    """Return the share of its roof that a layer reaches, where the measurement is sound."""
    known = row.efficiency is not None and not evidence.noisy
    return {"efficiency": row.efficiency or 0.0} if known else {}


def _by_line(row: LayerRecord) -> str:
    """Say how to find what is of no layer."""
    return ", which `--by line` finds in the code" if row.layer == UNATTRIBUTED else ""


def _is_far(evidence: Evidence, row: LayerRecord) -> bool:
    """Whether a layer stays far under its roof for certain, so that the roof explains nothing.

    Of a noisy measurement counts its fastest run, as if it had had the cores to itself.
    """
    if row.efficiency is None:
        return False
    fastest = 1.0
    if evidence.noisy:
        parts = [
            each
            for each in finest_cut(evidence.analysis.layer_latencies)
            if (each.layer, each.phase) == (scope_of(row.layer), row.phase)
        ]
        typical_s = sum(each.time_s or 0.0 for each in parts)
        fastest = sum(map(_fastest_s, parts)) / typical_s if typical_s else 0.0
    return row.efficiency <= FAR_UNDER * fastest


def _fastest_s(part: LayerLatency) -> float:
    latency = part.latency
    net_s = max(0.0, latency.min_s - (latency.dispatch_s or 0.0))
    return part.executions * net_s * (1.0 - (latency.others_share or 0.0))


def _grouped_advice(evidence: Evidence, ops: Sequence[OpRecord]) -> str | None:
    """Return what to try where a layer's costliest op is a convolution in groups."""
    costliest = max(ops, key=lambda op: op.macs or 0, default=None)
    if costliest is None or costliest.opcode != "convolution":
        return None
    instruction = evidence.instruction(costliest)
    if instruction.feature_group_count == instruction.batch_group_count == 1:
        return None
    return (
        "a convolution in groups runs in slow code here: write it as a sum of shifted products, one"
        " for each tap of the kernel"
    )


def _at_roofs(evidence: Evidence) -> Sequence[tuple[LayerRecord, Sequence[OpRecord]]]:
    """Return the large layers that a roof can bind."""
    looped = looped_places(evidence)
    return [
        (row, ops)
        for row, ops in evidence.large_layers
        if (scope_of(row.layer), row.phase) not in looped
        and not _is_far(evidence, row)
        and evidence.longest_s.get((scope_of(row.layer), row.phase), 0.0) >= LEAST_S
    ]


def _small(evidence: Evidence, bound: str) -> Sequence[LayerRecord]:
    """Return the layers of a bound that are too small for a finding of their own."""
    looped = looped_places(evidence)
    return [
        row
        for row in evidence.analysis.layer_records
        if row.leaf
        and row.bound == bound
        and row.share is not None
        and row.share < LARGE_SHARE
        and (scope_of(row.layer), row.phase) not in looped
        and not _is_far(evidence, row)
    ]


def _together(
    evidence: Evidence,
    rule: str,
    rows: Sequence[LayerRecord],
    are: str,
    why: str,
    try_next: str,
) -> Iterator[Finding]:
    """Report small layers in one finding, where together they are large."""
    share = sum(row.share or 0.0 for row in rows)
    places = [(scope_of(row.layer), row.phase) for row in rows]
    longest_s = sum(evidence.longest_s.get(place, 0.0) for place in places)
    if share < LARGE_SHARE or longest_s < LEAST_S:
        return
    largest = max(rows, key=lambda row: row.share or 0.0)
    yield Finding(
        rule=rule,
        layer=None,
        seen=(
            f"{len(rows)} {are}; each takes less than {percent(LARGE_SHARE)} of the time, together"
            f" they take {percent(share)}; the largest is {_name(largest)}"
            f" ({percent(largest.share)})"
        ),
        why=why,
        try_next=try_next,
        numbers={
            "layers": float(len(rows)),
            "share": share,
            "memory_time_s": sum(row.memory_time_s or 0.0 for row in rows),
            "compute_time_s": sum(row.compute_time_s or 0.0 for row in rows),
        },
        certainty="high",
        share=share,
    )


def _waits_for_products(row: LayerRecord, ops: Sequence[OpRecord]) -> bool:
    """Return whether matrix products move half of a layer's bytes and more."""
    products_s = sum(op.memory_time_s or 0.0 for op in ops if _is_dense(op))
    return products_s >= (row.memory_time_s or 0.0) / 2 and any(map(_is_dense, ops))


def _is_dense(op: OpRecord) -> bool:
    """Return whether an op is a matrix product; compilers for TPUs write it as a convolution."""
    if not op.macs:
        return False
    return op.opcode in opcodes.DOTS or op.op_name.rpartition("/")[2].startswith("dot_general")


def _ridge(evidence: Evidence, ops: Sequence[OpRecord]) -> float | None:
    """Return the ridge point of the roofs that bind a layer's most expensive ops."""
    device = evidence.analysis.device
    if device is None or not ops:
        return None
    computing = max(ops, key=lambda op: op.compute_time_s or 0.0)
    moving = max(ops, key=lambda op: op.memory_time_s or 0.0)
    if computing.roof is None:
        return None
    return device.ridge_point(computing.roof, moving.level)


def _batch_at_ridge(batch: int, row: LayerRecord, intensity: float, ridge: float) -> float | None:
    """Return the batch at which a layer reaches the ridge point; None if it never does.

    FLOPs and activations grow with the batch, the weights are read once. Where it is not known
    which of the bytes are weights, all are taken for such, which makes the batch a lower bound.
    """
    flops, moved = row.flops or 0, main_memory_bytes(row) or 0
    weights = min(row.param_bytes or 0, moved)
    if not weights:
        return batch * ridge / intensity
    beyond = flops - ridge * (moved - weights)
    return batch * ridge * weights / beyond if beyond > 0 else None


def _name(row: LayerRecord) -> str:
    layer = "what is of no layer" if row.layer == UNATTRIBUTED else row.layer
    return layer if row.phase == "forward" else f"{layer} ({row.phase})"
