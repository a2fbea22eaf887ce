"""Rules about the analysis itself: how far what it says can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from edgegraph.findings.evidence import Evidence
from edgegraph.findings.registry import register_finding
from edgegraph.results.analysis import Finding
from edgegraph.units import percent

MOST_WITHOUT_LAYER = 0.05
"""FLOPs that may belong to no layer: loss, metrics and the like are some percent of a model."""

WEIGHT_OF_THE_UNKNOWN = 0.3
"""Nobody knows what share of the time an op without a cost takes; it is to stand below what is
known to take most of it, and above what is known to be small."""


@register_finding("noisy-machine")
def noisy_machine(evidence: Evidence) -> Iterator[Finding]:
    """A measurement that spreads too far to rest a verdict on."""
    latency = evidence.analysis.latency
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


@register_finding("unpriced-op")
def unpriced_op(evidence: Evidence) -> Iterator[Finding]:
    """Ops whose cost nobody knows, so that the totals are lower bounds."""
    reasons = sorted(evidence.analysis.unpriced.values())
    if reasons:
        kinds = [f"{len(list(same))} x {reason}" for reason, same in groupby(reasons)]
        yield Finding(
            rule="unpriced-op",
            layer=None,
            seen="the totals are lower bounds, for want of the cost of " + ", ".join(kinds),
            why="XLA does not price these ops",
            try_next=_how_to_price(reasons),
            numbers={"unpriced_ops": float(len(reasons))},
            certainty="high",
            weight=WEIGHT_OF_THE_UNKNOWN,
        )


def _how_to_price(reasons: Sequence[str]) -> str:
    """Describe what makes the costs known; the reasons name the targets of custom calls."""
    advice = []
    if any(reason.startswith("custom call") for reason in reasons):
        advice.append("say what the call costs with eg.register_custom_call")
    if any(reason.startswith("loop") for reason in reasons):
        advice.append("count the loop's trips in a trace: eg.analyze(..., measure=True)")
    return "; ".join(advice) or "read their time from the measured layers instead"


@register_finding("low-coverage")
def low_coverage(evidence: Evidence) -> Iterator[Finding]:
    """Much of the work could not be given to a layer."""
    analysis = evidence.analysis
    totals = analysis.totals
    missing = 1 - totals.flops_coverage
    if missing > MOST_WITHOUT_LAYER and len(analysis.layer_records) > 1:
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
