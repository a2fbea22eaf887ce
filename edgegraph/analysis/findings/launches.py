"""Rules about starting things: a call of the program, and the kernels in it."""

from __future__ import annotations

from collections.abc import Iterator

from edgegraph.analysis.findings.registry import Evidence, register_finding
from edgegraph.base.units import percent, seconds
from edgegraph.hlo.op_tree import launches
from edgegraph.results.analysis import Finding

DISPATCH_BOUND = 0.5
"""Share of a call that launching takes: above it, no faster kernel halves the latency."""


@register_finding("dispatch-bound", compiled=True)
def dispatch_bound(evidence: Evidence) -> Iterator[Finding]:
    """A program that is over before launching it pays off."""
    latency = evidence.analysis.latency
    if latency is None or latency.dispatch_s is None or latency.median_s <= 0:
        return
    share = latency.dispatch_s / latency.median_s
    if share > DISPATCH_BOUND:
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
            share=share,
            gain=share,
        )


@register_finding("overhead", compiled=True)
def overhead(evidence: Evidence) -> Iterator[Finding]:
    """A program of so many small kernels that starting them takes most of its time."""
    small = evidence.small_kernels
    if not small or evidence.untrusted_times:
        return
    share, count = evidence.share([kernel.head for kernel in small]), launches(small)
    times_s = [evidence.takes_s(kernel.head) or 0.0 for kernel in small]
    roofs_s = [kernel.head.roof_time_s or 0.0 for kernel in small]
    looped = sum(kernel.head.executions or 1 for kernel in small if kernel.head.parent is not None)
    yield Finding(
        rule="overhead",
        layer=None,
        seen=(
            f"{count:,} kernels of {seconds(sum(times_s) / count)} take {percent(share.value)} of"
            f" {share.of}; at the roof they would take {seconds(sum(roofs_s))} of"
            f" {seconds(sum(times_s))}"
        ),
        why=(
            "starting a kernel takes as long however little it does, so that neither fewer FLOPs"
            " nor fewer bytes are faster"
        ),
        try_next=_IN_LOOPS if looped > count / 2 else _IN_A_ROW,
        numbers={
            "kernels": float(count), "kernel_s": sum(times_s) / count, "share": share.value,
            "roof_time_s": sum(roofs_s),
        },
        certainty=share.certainty,
        share=share.value,
        gain=share.value * max(0.0, 1.0 - sum(roofs_s) / sum(times_s)),
    )  # fmt: skip


_IN_A_ROW = (
    "batch, merge or scan: a larger batch, or vmap, so that every kernel does more; small arrays"
    " of one kind, such as an optimiser's, joined in one; steps that are alike in one jax.lax.scan,"
    " of which XLA makes one function on a CPU where it is small"
)
_IN_LOOPS = (
    "batch, merge or unroll: vmap over many such loops at once, so that every kernel does more;"
    " small arrays that are treated alike joined in one; unroll=4 of jax.lax.scan or fori_loop, so"
    " that ops of several iterations fuse"
)
