"""What an improvement says, in a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgegraph.base.units import percent, seconds, si
from edgegraph.studies.improve.trials import LOWER, Donation, Estimate

if TYPE_CHECKING:
    from edgegraph.studies.improve.result import Improvement

JUDGES = {"compiler": "its compiler", "estimated": "our estimate", "roof": "its roof"}
"""Who says what a program takes on a device that is not here."""


def conclusions(study: Improvement) -> tuple[str, ...]:
    """Return what the whole gained, how near its results are, and what else there is to say."""
    said = _gain(study)
    if study.error is not None and study.kept:
        said += _agreement(study)
    said += _besides(study)
    if study.untried:
        said.append(f"{len(study.untried)} kinds of sites were not tried within the time limit")
    kept = [change for change in study.changes if change.kept]
    before = sum(change.plain_s * change.executions for change in kept)
    if before and study.timing is not None:
        share = percent(min(before / study.timing.first_s, 1.0))
        said.append(f"the changed sites alone took {seconds(before)}, {share} of the whole")
    return tuple(said)


def _gain(study: Improvement) -> list[str]:
    if study.interrupted is not None:
        count = len(study.decisions)
        kinds = "1 kind of sites is" if count == 1 else f"{count} kinds of sites are"
        return [
            f"interrupted while {study.interrupted}; {kinds} kept for what they gain alone"
            + ("" if study.outputs else ", and their results were not compared")
        ]
    if study.estimate is not None and study.kept:
        return _expectation(study, study.estimate)
    if study.timing is None or study.speedup is None:
        return ["nothing that was tried makes this program faster"]
    if not study.faster:
        return [str(study.timing)]
    low, high = study.timing.interval
    return [
        f"{seconds(study.timing.first_s)} -> {seconds(study.timing.second_s)},"
        f" {study.speedup:.3g} times as fast (95 % interval {1 / high:.3g} to {1 / low:.3g})"
    ]


def _besides(study: Improvement) -> list[str]:
    said = [
        f"compiled with {each.name}={each.value!r}, the changed program takes"
        f" {each.ratio:.3g} times as long:"
        " jax.jit(fast, compiler_options=study.compiler_options)"
        for each in study.options
        if each.kept and each.ratio
    ]
    if study.donation is not None:
        said.append(_donated(study.donation))
    if study.prepare_s is not None:
        said.append(f"its weights are prepared once, in {seconds(study.prepare_s)}")
    if study.folded and study.kept:
        said.append(f"{study.folded} batch norms or their like are folded into the weights")
    return said


def _donated(donation: Donation) -> str:
    which = ", ".join(map(str, donation.arguments))
    said = f"donating argument{'s' * (len(donation.arguments) > 1)} {which}"
    if not donation.kept:
        return f"{said} is not kept: {donation.reason}"
    gained = []
    if donation.before_bytes is not None and donation.after_bytes is not None:
        peaks = " to ".join(si(each, "B") for each in (donation.before_bytes, donation.after_bytes))
        gained.append(f"takes the peak of memory from {peaks}")
    if donation.ratio is not None:
        gained.append(f"takes {donation.ratio:.3g} times as long")
    return f"{said} {' and '.join(gained)}: jax.jit(fast, donate_argnums={donation.arguments})"


def _expectation(study: Improvement, estimate: Estimate) -> list[str]:
    said = [
        f"{seconds(estimate.before_s)} -> {seconds(estimate.after_s)} on {study.target},"
        f" {estimate.gain:.3g} times as fast by {JUDGES[estimate.source]}; nothing was measured"
    ]
    slower = {
        each.title: each.gain_here
        for each in study.changes
        if each.kept and each.gain_here is not None and each.gain_here < 1.0
    }
    return said + [f"slower on this host: {title}, {gain:.2g}x" for title, gain in slower.items()]


def _agreement(study: Improvement) -> list[str]:
    worst = max(study.outputs, key=lambda each: each.share)
    said = [f"results agree to {study.error:.1e} of the largest"]
    if len(study.inputs) > 1:
        said[0] += (
            f"; with {len(study.inputs)} inputs, {worst.name} moved furthest ({worst.inputs}):"
            f" {worst.share:.2g} of what is allowed"
        )
    elif study.inputs:
        said[0] += "; there was no time for other inputs than the given"
    if study.allow:
        errors = [
            f"{each.name} {each.difference / each.largest:.1e}"
            for each in study.outputs
            if each.largest
        ]
        more = f" and {len(errors) - 4} more" if len(errors) > 4 else ""
        said.append(f"errors of results: {', '.join(errors[:4])}{more}")
        if not any(each.kept and each.exactness == LOWER for each in study.changes):
            said.append(f"no form in {' or '.join(study.allow)} is faster here")
    return said
