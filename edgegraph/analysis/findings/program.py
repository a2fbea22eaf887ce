"""Rules about the whole program's time, and about how far it can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from edgegraph.analysis.findings.registry import (
    LEAST_S,
    Evidence,
    bytes_of,
    common_layer,
    costly,
    register_finding,
    work_of,
)
from edgegraph.base.units import percent, seconds, si
from edgegraph.hlo.op_tree import launches
from edgegraph.results.analysis import Finding, OpRecord
from edgegraph.results.schedule import NETWORK, Schedule, Transfer
from edgegraph.results.verdicts import OK

DOMINANT = 0.5
"""Share of the time in one loop: above it, the program is as fast as that loop."""

SHORT_KERNEL_S = 10e-6
"""Starting a kernel takes about a microsecond on a CPU and several on a GPU; where kernels are
shorter than this, that is a tenth of a loop's time and more."""

FEWEST_LAUNCHES = 100
"""Kernels that a loop shorter than a microsecond has to launch to take time all the same: so many
take some ten microseconds to start."""

REMATERIALISED = 0.05
"""Share of the work that is done once more to save memory: below it, there is little to win."""

EXPOSED_SHARE = 0.05
"""Share of the schedule in which the compute waits: below it, hiding it all brings little."""


@register_finding("dominant-loop")
def dominant_loop(evidence: Evidence) -> Iterator[Finding]:
    """A loop that takes most of the time, one iteration after the other."""
    loop = _innermost_dominant(evidence)
    if loop is None:
        return
    share, kernels = evidence.share([loop]), evidence.kernels_in(loop)
    iterations, count = _iterations(evidence, loop), launches(kernels)
    if (
        iterations is not None
        and (evidence.takes_s(loop) or 0.0) < LEAST_S
        and count < FEWEST_LAUNCHES
    ):
        return
    kernels_s = sum(evidence.takes_s(kernel.head) or 0.0 for kernel in kernels)
    kernel_s = kernels_s / count if count and kernels_s else None
    iteration_s = (evidence.takes_s(loop) or 0.0) / (iterations or 1)
    short = kernel_s is not None and kernel_s < SHORT_KERNEL_S
    why, advice = _SHORT_KERNELS if short else _LONG_KERNELS
    if short and iterations is None:
        advice = _UNKNOWN_LENGTH
    times = "an unknown number of iterations, one of" if iterations is None else f"{iterations} of"
    numbers = {
        "share": share.value, "iterations": iterations, "iteration_s": iteration_s,
        "kernels": len(kernels), "kernel_s": kernel_s,
    }  # fmt: skip
    yield Finding(
        rule="dominant-loop",
        layer=loop.layer,
        seen=(
            f"the loop {loop.name}{f' in {loop.layer}' if loop.layer else ''} takes"
            f" {percent(share.value)} of {share.of}: {times} {seconds(iteration_s)}, with"
            f" {len(kernels)} kernels in each"
        ),
        why=f"an iteration waits for the one before, and XLA fuses nothing across them{why}",
        try_next=advice,
        numbers={name: float(value) for name, value in numbers.items() if value is not None},
        certainty=share.certainty,
        # Where the kernels are long, the findings about them weigh what there is to gain.
        share=share.value,
        gain=None if short else 0.0,
    )


def _innermost_dominant(evidence: Evidence) -> OpRecord | None:
    """Return the loop that takes most of the time, while none inside of it does."""
    if evidence.untrusted_times or not evidence.whole_s:
        return None
    loops = [
        record
        for record in evidence.control_flow
        if record.opcode == "while"
        and (evidence.takes_s(record) or 0.0) > DOMINANT * evidence.whole_s
        and _iterations(evidence, record) != 1
    ]
    return loops[-1] if loops else None  # Those that hold it come before it.


_SHORT_KERNELS = (
    "; its kernels are so short that starting them is much of the time",
    "unroll=4 of jax.lax.scan or fori_loop, vmap over what does not depend on the last iteration,"
    " or jax.lax.associative_scan",
)
_UNKNOWN_LENGTH = (
    "vmap over many of these loops at once (chains, trajectories, environments), so that every"
    " kernel does more; or jax.lax.scan of a fixed length, which can be unrolled"
)
_LONG_KERNELS = (
    "",
    "make one iteration faster: whatever it gains counts every time; look at the layers inside the"
    " loop",
)
"""What is added to why it matters, and what to try."""


@register_finding("rematerialisation")
def rematerialisation(evidence: Evidence) -> Iterator[Finding]:
    """Work that is done a second time so that its result need not be kept."""
    again = [*_once_more(evidence)]
    if not again or evidence.untrusted_times:
        return
    work, whole = sum(map(work_of, again)), evidence.whole_work
    share = evidence.share(again)
    if work < REMATERIALISED * whole and share.value < REMATERIALISED:
        return
    if evidence.is_brief(share.value * evidence.whole_s):
        return
    by_xla = sum(op.phase != "rematerialised" for op in again)
    who = "XLA computes them" if by_xla == len(again) else "jax.checkpoint has them computed"
    yield Finding(
        rule="rematerialisation",
        layer=common_layer(again),
        seen=(
            f"{len(again)} ops run once more: {si(work, 'FLOP')} (transcendentals included),"
            f" {percent(work / whole if whole else 0.0)} of all, and {percent(share.value)} of"
            f" {share.of}; {who} again instead of keeping them"
        ),
        why="it buys memory with time",
        try_next=(
            "if there is memory enough, rematerialise less: fewer blocks, or a policy such as"
            " jax.checkpoint_policies.dots_saveable that keeps the products; else leave it"
        ),
        numbers={"ops": float(len(again)), "operations": float(work), "share": share.value},
        certainty=share.certainty,
        share=share.value,
        gain=share.value,
    )


@register_finding("exposed-transfers", compiled=True)
def exposed_transfers(evidence: Evidence) -> Iterator[Finding]:
    """Asynchronous transfers that the compute waits for."""
    schedule = evidence.analysis.schedule
    if schedule is None or evidence.untrusted_times:
        return
    share = schedule.exposed_s / schedule.makespan_s if schedule.makespan_s else 0.0
    # Transfers of unknown length that overlap with nothing.
    bare = [
        t
        for t in schedule.transfers
        if t.lane == NETWORK and t.duration_s is None and t.between == 0
    ]
    if share >= EXPOSED_SHARE and schedule.exposed_s >= LEAST_S:
        yield _waits(schedule, share)
    elif bare:
        yield _uncovered(bare)


def _once_more(evidence: Evidence) -> Iterator[OpRecord]:
    """Yield the ops of `jax.checkpoint`'s second pass, and the kernels that XLA runs again."""
    scoped = any(row.phase == "rematerialised" for row in evidence.analysis.layer_records)
    for kernel in evidence.kernels:
        if ".remat" in kernel.name:
            yield from costly(kernel)
        elif scoped:
            yield from [op for op in costly(kernel) if op.phase == "rematerialised"]


def _waits(schedule: Schedule, share: float) -> Finding:
    waiting = [t for t in schedule.transfers if t.exposed_s]
    worst = max(waiting, key=lambda t: (t.exposed_s or 0.0) * (t.executions or 1))
    # A short transfer may be waited for because a long one is before it in its lane.
    served = [t for t in schedule.transfers if t.lane == worst.lane]
    longest = max(served, key=lambda t: t.duration_s or 0.0)
    behind = "" if longest is worst else f", {_called(longest)} being the longest beside it"
    return Finding(
        rule="exposed-transfers",
        layer=worst.layer if len(waiting) == 1 else None,
        seen=(
            f"the compute waits {seconds(schedule.exposed_s)} for transfers,"
            f" {percent(share)} of {seconds(schedule.makespan_s)}, longest for"
            f" {_called(worst)}{behind}: {si(longest.bytes, 'B')} take"
            f" {seconds(longest.duration_s)}, with {seconds(longest.compute_s)} of compute between"
            f" its start and its end"
        ),
        why="a transfer that starts too late, or has too little beside it, adds to the time",
        try_next=_HOW_TO_HIDE,
        numbers={
            "exposed_s": schedule.exposed_s,
            "makespan_s": schedule.makespan_s,
            "share": share,
            "transfers": float(len(waiting)),
        },
        certainty="high" if schedule.time_source == "measured" else "medium",
        share=min(1.0, share),
        gain=min(1.0, share),
    )


def _uncovered(bare: Sequence[Transfer]) -> Finding:
    moved = [t.bytes for t in bare if t.bytes is not None]
    return Finding(
        rule="exposed-transfers",
        layer=bare[0].layer if len(bare) == 1 else None,
        seen=(
            f"nothing runs beside {len(bare)} transfer{'s' * (len(bare) != 1)} between devices,"
            f" {_called(bare[0])} among them: {si(sum(moved) if moved else None, 'B')} sent"
        ),
        why="the compute waits for the whole of each, however fast the network is",
        try_next=_HOW_TO_HIDE,
        numbers={"transfers": float(len(bare)), "bytes": float(sum(moved))},
        certainty="high",
        weight=WEIGHT_OF_THE_UNKNOWN,
    )


_HOW_TO_HIDE = (
    "start it earlier or split it, so that compute stands beside it: gather the next layer's"
    " weights during this one, or reduce gradients layer by layer"
)


def _called(transfer: Transfer) -> str:
    layer = f" of {transfer.layer}" if transfer.layer else ""
    named = transfer.opcode in transfer.start
    return f"{transfer.start}{layer}" if named else f"the {transfer.opcode} {transfer.start}{layer}"


def _iterations(evidence: Evidence, loop: OpRecord) -> int | None:
    """Return how often the body runs in one call of the program; None if unknown.

    The condition runs once more than the body, for every time that the loop is entered.
    """
    counts = [op.executions for op in evidence.tree.contents.get(loop.name, ())]
    known = [count for count in counts if count is not None]
    return min(known, default=None) if len(known) == len(counts) else None


MOST_WITHOUT_LAYER = 0.05
"""FLOPs that may belong to no layer: loss, metrics and the like are some percent of a model."""

WEIGHT_OF_THE_UNKNOWN = 0.3
"""Nobody knows what share of the time an op without a cost takes; it is to stand below what is
known to take most of it, and above what is known to be small."""


FIRST = 1.0
"""Weight of what comes before everything else: no share is worth a word before it."""


@register_finding("noisy-machine")
def noisy_machine(evidence: Evidence) -> Iterator[Finding]:
    """A measurement that is not known well enough to rest a verdict on."""
    latency = evidence.analysis.latency
    if latency is not None and latency.verdict != OK:
        reasons = latency.reasons or (f"it is known to {percent(latency.uncertainty)} only",)
        yield Finding(
            rule="noisy-machine",
            layer=None,
            seen=f"the latency is {latency.verdict}: {'; '.join(reasons)}",
            why="differences smaller than that mean nothing",
            try_next="stop other work on this machine and measure again",
            numbers={"uncertainty": latency.uncertainty, "drift": latency.drift},
            certainty="high",
            weight=FIRST,
        )


@register_finding("unpriced-op")
def unpriced_op(evidence: Evidence) -> Iterator[Finding]:
    """Ops whose cost nobody knows, so that the totals are lower bounds."""
    unpriced = evidence.analysis.unpriced
    reasons = sorted(unpriced.values())
    if reasons:
        kinds = [f"{len(list(same))} x {reason}" for reason, same in groupby(reasons)]
        loops = [op for op in evidence.control_flow if op.name in unpriced and op.opcode == "while"]
        yield Finding(
            rule="unpriced-op",
            layer=None,
            seen="the totals are lower bounds, for want of the cost of "
            + ", ".join(kinds)
            + "".join(f"; one iteration of {loop.name}: {_of_one(loop)}" for loop in loops[:3]),
            why="XLA does not price these ops",
            try_next=_how_to_price(reasons, loops, traced=evidence.analysis.op_trace is not None),
            numbers={"unpriced_ops": float(len(reasons))},
            certainty="high",
            weight=WEIGHT_OF_THE_UNKNOWN,
        )


def _of_one(loop: OpRecord) -> str:
    """Write what a loop that is counted once costs."""
    return f"{si(loop.flops, 'FLOP')} and {si(bytes_of(loop), 'B')}"


def _how_to_price(reasons: Sequence[str], loops: Sequence[OpRecord], *, traced: bool) -> str:
    """Describe what makes the costs known; the reasons name the targets of custom calls."""
    advice = []
    if any(reason.startswith("custom call") for reason in reasons):
        advice.append("say what the call costs with eg.register_custom_call")
    if loops:
        # XLA may put a loop into one call, of which a trace shows no iterations.
        count = "" if traced else ", or count them in a trace: measure=True"
        name = loops[0].name.rpartition("/")[2]
        advice.append(
            f"say how often it runs: eg.analyze(..., trips={{{name!r}: 16}}), or"
            f" --trips {name}=16{count}"
        )
    return "; ".join(advice) or "read their time from the measured layers instead"


@register_finding("low-coverage")
def low_coverage(evidence: Evidence) -> Iterator[Finding]:
    """Much of the work could not be given to a layer."""
    analysis = evidence.analysis
    missing = 1 - analysis.totals.flops_coverage
    if missing <= MOST_WITHOUT_LAYER:
        return
    in_code = any(op.stack_frame is not None for op in evidence.tree.leaves)
    code = "`--by function` and `--by line` show them by the code that they stand in; " * in_code
    yield Finding(
        rule="low-coverage",
        layer=None,
        seen=f"{percent(missing)} of the FLOPs belong to no layer that the graph names",
        why="these ops carry no scope, so that no layer can answer for them",
        try_next=f"{code}to make layers of them, wrap their code in jax.named_scope",
        numbers={"flops_coverage": analysis.totals.flops_coverage},
        certainty="high",
        # It takes no time, so that there is none to win.
    )
