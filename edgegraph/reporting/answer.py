"""The answer, as every presenter gives it: which time to believe, what binds, where to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edgegraph.base.units import percent, ratio, seconds, seconds_in, si
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.reporting.views import code_name, largest_of_code
from edgegraph.reporting.words import is_guess, title, why_expected
from edgegraph.results.analysis import Analysis, Finding
from edgegraph.results.compiled_together import compare_together
from edgegraph.results.timing import Latency, finest_cut
from edgegraph.results.verdicts import COST, FAR_UNDER, GAINED, OK

BINDS = {
    "compute": "bound by arithmetic",
    "memory": "bound by memory traffic",
    "network": "bound by the network",
    "overhead": "bound by launches",
}
"""What binds a program, in words, by bound."""


class Believed(NamedTuple):
    """A figure, and what stands around it: ``at least`` ``18 µs`` ``(not measured)``."""

    before: str
    value: str
    after: str


def headline(analysis: Analysis) -> str:
    """Describe how long the program takes and what binds it."""
    said = [f"{title(analysis)}: {time_summary(analysis)}", binds(analysis)]
    return ", ".join(filter(None, said))


def time_summary(analysis: Analysis) -> str:
    """Describe how long one call takes, or at least takes, or else what it does."""
    summary = "".join(believed(analysis))
    return summary if has_time(analysis) else f"{si(analysis.totals.macs, 'MAC')}, {summary}"


def has_time(analysis: Analysis) -> bool:
    """Return whether anything sound says how long a call takes."""
    totals = analysis.totals
    if analysis.op_trace is not None and analysis.latency is None:
        return True
    known = totals.overlapped_time_s is not None or totals.expected_time_s is not None
    return known or (analysis.latency is not None and _unsound(analysis) is None)


def believed(analysis: Analysis) -> Believed:
    """Return the best time of one call that is sound; where there is none, its FLOPs.

    A measurement that is NOISY or INVALID gives no figure.
    """
    totals, latency = analysis.totals, analysis.latency
    if latency is not None and latency.verdict == OK:
        known = "" if latency.interval_s is None else f" ({seconds_in(latency.interval_s)})"
        return Believed("", seconds(latency.median_s), known)
    if latency is None and analysis.op_trace is not None:
        return Believed("", seconds(analysis.op_trace.span_s), " in the trace")
    why = "not measured" if latency is None else f"the measurement is {latency.verdict}"
    if totals.overlapped_time_s is not None and analysis.stage == "lowered":
        unfused = seconds(totals.overlapped_time_s)
        after = " if nothing were fused (an upper estimate, not measured)"
        return Believed("up to about ", unfused, after)
    if totals.expected_time_s is not None and not _is_refuted(analysis):
        guess = "a first guess" if is_guess(analysis) else "expected"
        return Believed("about ", seconds(totals.expected_time_s), f" ({guess}; {why})")
    if totals.overlapped_time_s is not None:
        least = "more than " if totals.lower_bound else "at least "
        return Believed(least, seconds(totals.overlapped_time_s), f" ({why})")
    least = "≥ " if totals.lower_bound else ""
    return Believed(least, si(totals.flops, "FLOP"), f" (no device, {why})")


_NO_ROOF = frozenset({"far-under-the-roof", "no-library-kernel", "slow-function"})
"""Findings that no roof explains the time of something."""


def binds(analysis: Analysis) -> str | None:
    """Say what binds the whole, and how near it comes to that roof; None where nothing is known."""
    totals, latency = analysis.totals, analysis.latency
    if totals.bound is None or totals.bound == "overhead":
        return BINDS.get(totals.bound or "")
    bound = BINDS[totals.bound]
    net_s = None if latency is None or latency.verdict != OK else latency.net_s
    if net_s and totals.overlapped_time_s is not None:
        reached = totals.overlapped_time_s / net_s
        far = ", in kernels far under it" * (reached <= FAR_UNDER)
        return f"{bound}, at {percent(reached)} of that roof{far}"
    shares = [each.share or 0.0 for each in analysis.findings if each.rule in _NO_ROOF]
    if max(shares, default=0.0) > 0.5:
        return f"{bound}, in kernels far under every roof"
    return bound


def listed(analysis: Analysis) -> tuple[Finding, ...]:
    """Return the findings, most to win first; `start` says that of the machine in their place."""
    return tuple(each for each in analysis.findings if each.rule != "noisy-machine")


def start(analysis: Analysis) -> str | None:
    """Say in a sentence what to do first, and what there is to win; None where nothing is found."""
    first = next((each for each in listed(analysis) if each.weight), None)
    unsound = _unsound(analysis)
    if unsound is not None:
        reasons = "; ".join(unsound.reasons) or "it is not known well enough to rest a verdict on"
        then = "" if first is None else f" Until then it points to {_place(analysis, first)}."
        return (
            "Stop other work on this machine and measure again: the measurement is"
            f" {unsound.verdict}, since {reasons}.{then}"
        )
    if first is None:
        return None
    if first.layer is None:
        return f"Start here: {', '.join(filter(None, (first.seen, gain(analysis, first))))}."
    reached, faster = (first.numbers.get(name) for name in ("efficiency", "gain_alone"))
    said = [
        share(analysis, first),
        "" if reached is None else f"{percent(reached)} of its roof",
        gain(analysis, first),
        "" if faster is None else f"{ratio(faster)} times as fast in a form that was timed alone",
    ]
    return f"Start with {_place(analysis, first)}: {', '.join(filter(None, said)) or first.seen}."


def worth(analysis: Analysis, finding: Finding) -> str:
    """Write the share of the time that a finding concerns, and what its advice can save."""
    return ", ".join(filter(None, (share(analysis, finding), gain(analysis, finding))))


def share(analysis: Analysis, finding: Finding) -> str:
    """Write the share of the time that a finding concerns; nothing where none is sound."""
    if finding.share is None or _unsound(analysis) is not None:
        return ""
    if analysis.latency is not None or analysis.op_trace is not None:
        whole = "the time"
    else:
        whole = "the bytes moved" if analysis.device is None else "the estimated time"
    return f"{percent(finding.share)} of {whole}"


def gain(analysis: Analysis, finding: Finding) -> str:
    """Write what a finding's advice can save at most; nothing where nobody knows."""
    if not finding.gain or _unsound(analysis) is not None:
        return ""
    return f"up to {percent(finding.gain)} to win"


def _place(analysis: Analysis, finding: Finding) -> str:
    """Name what a finding is about; code in place of layers where there are none."""
    if finding.layer is None:
        return finding.rule
    layer = finding.layer
    if layer == UNATTRIBUTED:
        largest = largest_of_code(analysis)
        layer = "what is of no layer" if largest is None else code_name(largest[0])
    return layer if finding.phase in (None, "forward") else f"{layer} ({finding.phase})"


def _unsound(analysis: Analysis) -> Latency | None:
    """Return the latency that was measured and is not OK."""
    latency = analysis.latency
    return None if latency is None or latency.verdict == OK else latency


def times(analysis: Analysis) -> str | None:
    """Set all times of one call in order, and say which to believe and why they differ.

    None where fewer than two are known, or before optimisation, where they are of other kernels.
    """
    totals, latency = analysis.totals, analysis.latency
    known = {
        "roof": totals.overlapped_time_s, "expected": totals.expected_time_s,
        "layers alone": totals.layers_time_s, "traced": totals.traced_time_s,
        "measured": None if latency is None else latency.median_s,
    }  # fmt: skip
    found = sorted((time_s, name) for name, time_s in known.items() if time_s is not None)
    if len(found) < 2 or analysis.stage == "lowered":
        return None
    order = " < ".join(f"{name} {seconds(time_s)}" for time_s, name in found)
    return f"{order}; believe {_what_to_believe(analysis)}"


def _what_to_believe(analysis: Analysis) -> str:
    """Name the time to believe, and why the others differ from it."""
    totals, unsound = analysis.totals, _unsound(analysis)
    if analysis.latency is not None and unsound is None:
        return "; ".join(["the measured one", *_differences(analysis, analysis.latency)])
    if unsound is None and totals.traced_time_s is not None:
        return "the traced one, which is of the running program"
    why = "" if unsound is None else f", for the measurement is {unsound.verdict}"
    if totals.overlapped_time_s is None:
        return f"none of them{why}"
    if totals.expected_time_s is None:
        return f"the roof as a lower bound and no more{why}"
    if _is_refuted(analysis):
        return f"none but the roof, a lower bound{why}, and its fastest run is longer than expected"
    if is_guess(analysis):
        return f"the roof as a lower bound; the expected one is {why_expected(analysis)}"
    return f"the expected one{why}: kernels like these ran so long in the calibration"


def _is_refuted(analysis: Analysis) -> bool:
    """Whether even the fastest run, less what other processes took, was longer than expected."""
    latency, high_s = analysis.latency, analysis.totals.expected_high_s
    if latency is None or high_s is None:
        return False
    return latency.min_s * (1 - (latency.others_share or 0.0)) > high_s


def _differences(analysis: Analysis, latency: Latency) -> Iterator[str]:
    """Say in what the measured whole differs from the other times."""
    totals, launch_s = analysis.totals, latency.dispatch_s
    parts = [name for name, time_s in (("layers alone", totals.layers_time_s),
             ("traced", totals.traced_time_s)) if time_s is not None]  # fmt: skip
    if launch_s is not None:
        besides = f", which {' and '.join(parts)} leave out" if parts else ""
        yield f"{seconds(launch_s)} of it is launching{besides}"
    finest = {each.depth for each in finest_cut(analysis.layer_latencies)}
    for each in compare_together(latency, analysis.layer_latencies):
        if each.layer is None and each.depth in finest and each.verdict in (GAINED, COST):
            verb = "gain" if each.verdict == GAINED else "lose"
            yield f"compiled together the layers {verb} {percent(abs(each.change or 0.0))}"
    low, high = totals.expected_low_s, totals.expected_high_s
    if low is not None and high is not None and not low <= latency.median_s <= high:
        side = "less than" if latency.median_s < low else "more than"
        yield f"{side} the calibration lets expect ({seconds(low)} to {seconds(high)})"
    roof_s, net_s = totals.overlapped_time_s, latency.net_s
    if roof_s is not None and net_s and roof_s < net_s / 2:
        yield f"the roof is what the hardware could do, {percent(roof_s / net_s)} of it"
