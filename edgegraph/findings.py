"""What stands out in an Analysis, in plain words: small registered rules, one each.

A rule looks at the finished Analysis and yields findings; it measures nothing and computes no
figure that does not stand in the Analysis. Rules that rest on measured time keep silent where
the measurement is noisy. What a finding weighs is the share of the time that its advice is about:
of a layer, the part that its roof explains for what moves the roof, and the part above it, the gain
of running at the roof, for what brings the layer there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from edgegraph.results.analysis import Analysis, Finding, LayerRecord, OpRecord
from edgegraph.results.compiled_together import (
    COST,
    GAINED,
    NO_DIFFERENCE,
    NOISY,
    compare_together,
)
from edgegraph.results.frames import intensity as intensity_of
from edgegraph.results.latency import UNATTRIBUTED, finest_cut
from edgegraph.results.what_if import what_if
from edgegraph.units import percent, ratio, seconds, si

Rule = Callable[[Analysis], Iterator[Finding]]

RULES: dict[str, Rule] = {}
"""Every rule by its name."""

LARGE_SHARE = 0.1
"""A layer below this share of the time is not worth a finding of its own."""


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a rule under the name that its findings carry."""

    def register(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return register


def find(analysis: Analysis) -> tuple[Finding, ...]:
    """Apply every rule.

    Returns:
        Findings, those that concern most of the time first.
    """
    found = [finding for apply in RULES.values() for finding in apply(analysis)]
    return tuple(sorted(found, key=lambda finding: -finding.weight))


@rule("memory-bound-dense")
def memory_bound_dense(analysis: Analysis) -> Iterator[Finding]:
    """A layer of matrix products that waits for its weights."""
    for row, ops in _large_leaves(analysis):
        if row.bound != "memory" or not any(op.opcode == "dot" and op.macs for op in ops):
            continue
        intensity, ridge = intensity_of(row), _ridge(analysis, ops)
        if intensity is None or ridge is None:
            continue
        seen = (
            f"{_name(row)} is memory-bound: it does {ratio(intensity)} FLOP per byte, and this"
            f" device needs {ratio(ridge)} to be busy; moving {si(_moved(row), 'B')} takes"
            f" {seconds(row.memory_time_s)}, the arithmetic {seconds(row.compute_time_s)}"
        )
        numbers = {
            "intensity_flops_per_byte": intensity,
            "ridge_point_flops_per_byte": ridge,
            "memory_time_s": row.memory_time_s or 0.0,
            "compute_time_s": row.compute_time_s or 0.0,
        }
        advice = "fewer bytes, not fewer FLOPs: smaller or narrower weights (bfloat16, int8)"
        if analysis.batch is not None:
            batch = analysis.batch * ridge / intensity
            numbers["batch_at_ridge_point"] = batch
            advice += (
                f"; or a larger batch, since all inputs share one read of the weights"
                f" (about {batch:.0f} would reach the ridge point)"
            )
        yield Finding(
            rule="memory-bound-dense",
            layer=row.layer,
            seen=seen,
            why="its time follows the bytes moved; a faster processor would not help",
            try_next=advice,
            numbers=numbers,
            certainty="high",
            weight=_at_the_roof(row),
        )


@rule("compute-bound-layer")
def compute_bound_layer(analysis: Analysis) -> Iterator[Finding]:
    """A layer whose arithmetic, not its data, takes the time."""
    for row, ops in _large_leaves(analysis):
        if row.bound != "compute" or not row.macs:
            continue
        intensity, ridge = intensity_of(row), _ridge(analysis, ops)
        if intensity is None or ridge is None:
            continue
        reached = ""
        numbers = {
            "intensity_flops_per_byte": intensity,
            "ridge_point_flops_per_byte": ridge,
            "flops": float(row.flops or 0),
            "compute_time_s": row.compute_time_s or 0.0,
        }
        if row.efficiency is not None:
            reached = f"; it runs at {percent(row.efficiency)} of the peak"
            numbers["efficiency"] = row.efficiency
        yield Finding(
            rule="compute-bound-layer",
            layer=row.layer,
            seen=(
                f"{_name(row)} is compute-bound: {si(row.flops, 'FLOP')} at {ratio(intensity)} FLOP"
                f" per byte, above the ridge point of {ratio(ridge)}{reached}"
            ),
            why="its time follows the arithmetic; batching it further buys little throughput",
            try_next=(
                "fewer MACs (depthwise-separable or grouped convolution, fewer channels), or a"
                " narrower dtype with a higher peak"
            ),
            numbers=numbers,
            certainty="high",
            weight=_at_the_roof(row),
        )


@rule("far-under-the-roof")
def far_under_the_roof(analysis: Analysis) -> Iterator[Finding]:
    """A layer that takes much longer than either roof explains."""
    if _noisy(analysis):
        return
    gains = {(each.layer, each.phase): each for each in what_if(analysis.layer_records)}
    for row, _ops in _large_leaves(analysis):
        gain_share = gains[row.layer, row.phase].gain_share or 0.0
        if row.efficiency is None or row.efficiency > 0.25 or row.bound == "overhead":
            continue
        yield Finding(
            rule="far-under-the-roof",
            layer=row.layer,
            seen=(
                f"{_name(row)} takes {seconds(row.time_s)}, {ratio(1 / row.efficiency)} times what"
                f" its {row.bound} roof allows; at the roof the layers together would take"
                f" {percent(gain_share)} less"
                if row.efficiency > 0
                else f"{_name(row)} takes {seconds(row.time_s)} and hardly computes or moves"
            ),
            why=(
                "neither the arithmetic nor the bytes explain its time: the kernel is slow, or"
                " it moves data that fusion would save"
            ),
            try_next="look at its ops: layout changes, small loops, an unfused intermediate",
            numbers={
                "time_s": row.time_s or 0.0,
                "efficiency": row.efficiency,
                "gain_share": gain_share,
            },
            certainty="medium",
            weight=gain_share,
        )


@rule("dispatch-bound")
def dispatch_bound(analysis: Analysis) -> Iterator[Finding]:
    """A program that is over before launching it pays off."""
    latency = analysis.latency
    if latency is None or latency.dispatch_s is None or latency.median_s <= 0:
        return
    share = latency.dispatch_s / latency.median_s
    if share > 0.5:
        yield Finding(
            rule="dispatch-bound",
            layer=None,
            seen=(
                f"launching takes {seconds(latency.dispatch_s)} of the {seconds(latency.median_s)}"
                f" that one call takes ({percent(share)})"
            ),
            why="the program is too small for its launch; its own work hardly shows",
            try_next="more work per call: a larger batch, or several steps in one jit",
            numbers={"dispatch_s": latency.dispatch_s, "median_s": latency.median_s},
            certainty="high",
            weight=share,
        )


@rule("compiled-together")
def compiled_together(analysis: Analysis) -> Iterator[Finding]:
    """What compiling the layers together gained or cost, against each compiled alone."""
    finest = {each.depth for each in finest_cut(analysis.layer_latencies)}
    for compared in compare_together(analysis.latency, analysis.layer_latencies):
        ours = compared.layer is None and compared.depth in finest
        if not ours or compared.verdict == NOISY or compared.change is None:
            continue
        outcome, why, advice = _TOGETHER[compared.verdict]
        fused = _widest_fusion(analysis)
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
            weight=0.0 if compared.verdict == NO_DIFFERENCE else min(1.0, abs(compared.change)),
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


@rule("noisy-machine")
def noisy_machine(analysis: Analysis) -> Iterator[Finding]:
    """A measurement that spreads too far to rest a verdict on."""
    latency = analysis.latency
    if latency is not None and latency.verdict != "OK":
        reasons = latency.reasons or (
            f"its middle half spreads over {percent(latency.relative_iqr)} of the median, and it"
            f" drifted {percent(abs(latency.drift))}",
        )
        yield Finding(
            rule="noisy-machine",
            layer=None,
            seen=f"the latency is {latency.verdict}: {'; '.join(reasons)}",
            why="differences smaller than the spread mean nothing",
            try_next="stop other work on this machine and measure again",
            numbers={"relative_iqr": latency.relative_iqr, "drift": latency.drift},
            certainty="high",
            weight=1.0 if latency.verdict == "INVALID" else 0.5,
        )


@rule("unpriced-op")
def unpriced_op(analysis: Analysis) -> Iterator[Finding]:
    """Ops whose cost nobody knows, so that the totals are lower bounds."""
    reasons = sorted(analysis.unpriced.values())
    if reasons:
        kinds = [f"{len(list(same))} x {reason}" for reason, same in groupby(reasons)]
        yield Finding(
            rule="unpriced-op",
            layer=None,
            seen="the totals are lower bounds, for want of the cost of " + ", ".join(kinds),
            why="XLA does not price these ops",
            try_next="read their time from the measured layers instead",
            numbers={"unpriced_ops": float(len(reasons))},
            certainty="high",
            weight=0.3,
        )


@rule("low-coverage")
def low_coverage(analysis: Analysis) -> Iterator[Finding]:
    """Much of the work could not be given to a layer."""
    totals = analysis.totals
    missing = 1 - totals.flops_coverage
    if missing > 0.05 and len(analysis.layer_records) > 1:
        yield Finding(
            rule="low-coverage",
            layer=None,
            seen=f"{percent(missing)} of the FLOPs belong to no layer that the graph names",
            why="these ops carry no scope, so that no layer can answer for them",
            try_next="wrap that code in jax.named_scope",
            numbers={"flops_coverage": totals.flops_coverage},
            certainty="high",
            weight=missing,
        )


def _large_leaves(analysis: Analysis) -> Iterator[tuple[LayerRecord, list[OpRecord]]]:
    """Give the layers worth a word, with their ops."""
    large = {
        (row.layer.removesuffix("/(own)"), row.phase): row
        for row in analysis.layer_records
        if row.leaf and row.share is not None and row.share >= LARGE_SHARE
    }
    if not large:
        return
    held: dict[tuple[str, str], list[OpRecord]] = {place: [] for place in large}
    layers = {layer for layer, _ in large}
    containers = {op.parent for op in analysis.op_records}
    for op in analysis.op_records:
        layer = op.layer or UNATTRIBUTED
        if layer in layers and op.name not in containers and (layer, op.phase) in held:
            held[layer, op.phase].append(op)
    for place, row in large.items():
        yield row, held[place]


def _ridge(analysis: Analysis, ops: list[OpRecord]) -> float | None:
    """Give the ridge point of the roofs that bind a layer's dearest ops."""
    if analysis.device is None:
        return None
    computing = max(ops, key=lambda op: op.compute_time_s or 0.0)
    moving = max(ops, key=lambda op: op.memory_time_s or 0.0)
    if computing.roof is None:
        return None
    return analysis.device.ridge_point(computing.roof, moving.level)


def _at_the_roof(row: LayerRecord) -> float:
    """Give the share of the time that a layer's roof explains; what lies above it is slack."""
    reached = 1.0 if row.efficiency is None else min(1.0, row.efficiency)
    return (row.share or 0.0) * reached


def _moved(row: LayerRecord) -> int:
    return (row.bytes_read or 0) + (row.bytes_written or 0)


def _name(row: LayerRecord) -> str:
    return row.layer if row.phase == "forward" else f"{row.layer} ({row.phase})"


def _noisy(analysis: Analysis) -> bool:
    return analysis.latency is None or analysis.latency.verdict != "OK"


def _widest_fusion(analysis: Analysis) -> tuple[str, int] | None:
    """Find the fusion that holds ops of the most layers, if of more than one."""
    layers: dict[str, set[str]] = {}
    for op in analysis.op_records:
        if op.parent is not None and op.layer is not None and (op.flops or op.macs):
            layers.setdefault(op.parent, set()).add(op.layer)
    widest = max(layers, key=lambda name: len(layers[name]), default=None)
    return (widest, len(layers[widest])) if widest and len(layers[widest]) > 1 else None
