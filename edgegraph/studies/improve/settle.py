"""Drop changes that do not help the whole program, or move its results too far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from edgegraph.base.timing import Progress, monotonic_clock
from edgegraph.results.verdicts import SLOWER
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import DONATED, FOLDED, PREPARED, OutputCheck
from edgegraph.studies.improve.whole import PLAIN, Ratio, Recipe, Whole, recipe_of

OVERWHELMING = 0.5
"""Share of the whole that a rule saves alone, from which on the whole is not tried without it."""

MOST, MUCH = 0.5, 0.1
"""Share of what all rules save, and with it share of the whole, from which on it is not either."""

IDLE = "does not help the whole"
MOVED = "results moved too far"


def kept_rules(study: Improvement) -> dict[str, float]:
    """Return the seconds of a call that each kept rule saves, timed alone, the most first."""
    saved: dict[str, float] = {}
    for change in study.changes:
        if change.kept:
            saved[change.rule] = saved.get(change.rule, 0.0) + change.saved_s
    return dict(sorted(saved.items(), key=lambda item: -item[1]))


def kept_names(study: Improvement) -> list[str]:
    """Return the kept rules, those that save most first, and what is done to the whole."""
    donated = [DONATED] * bool(study.donate_argnums)
    return [*kept_rules(study), *_weights(study), *study.compiler_options, *donated]


def _weights(study: Improvement) -> list[str]:
    """Return what is done to the weights; without prepared ones there are no folded ones."""
    return [*[PREPARED] * study.prepared, *[FOLDED] * bool(study.folded)]


def taken_back(study: Improvement, names: Collection[str], reason: str) -> Improvement:
    """Return a study without the changes of some rules, and without what is done to the whole."""
    changes = (
        replace(change, kept=False, reason=reason)
        if change.kept and change.rule in names
        else change
        for change in study.changes
    )
    options = (
        replace(each, kept=False, reason=reason) if each.kept and each.name in names else each
        for each in study.options
    )
    donation = study.donation
    if donation is not None and donation.kept and DONATED in names:
        donation = replace(donation, kept=False, reason=reason)
    return replace(
        study,
        changes=tuple(changes),
        options=tuple(options),
        donation=donation,
        prepared=study.prepared and PREPARED not in names,
        folded=0 if {PREPARED, FOLDED} & {*names} else study.folded,
    )


def without_idle(study: Improvement, whole: Whole, seconds: float, report: Progress) -> Improvement:
    """Return a study without the rules that the whole is no slower without.

    The whole is compiled without each rule, and timed in turns with the whole that has all of
    them. What saves most of the time alone, and a rule that is the only one, are not tried.

    Args:
        study: Of which some changes are kept.
        whole: Of the same workload.
        seconds: Compile as long as the next one is likely to end by then.
        report: Told what is being done.
    """
    saved = kept_rules(study)
    if len(saved) + len(_weights(study)) < 2:
        return study
    everything = recipe_of(study)
    report(f"{study.workload}: compiling the whole", None)
    plain_s = whole.seconds_of(PLAIN)
    overwhelming_s = min(OVERWHELMING * plain_s, max(MOST * sum(saved.values()), MUCH * plain_s))
    cost_s = whole.compile_s(everything)
    begun = monotonic_clock()
    tried: list[str] = []
    doubtful = [rule for rule, each_s in saved.items() if each_s < overwhelming_s]
    for rule in (*_weights(study), *reversed(doubtful)):
        if monotonic_clock() - begun + cost_s * 1e9 > seconds * 1e9:
            break
        report(f"{study.workload}: compiling without {rule}", None)
        whole.program(everything.without(rule))
        tried.append(rule)
    if not tried:
        return study
    report(f"{study.workload}: timing the whole without each of {len(tried)} rules", None)
    return settled(study, tried, whole.ratios(everything, list(map(everything.without, tried))))


def settled(
    study: Improvement, tried: Sequence[str], ratios: Sequence[Ratio] | None
) -> Improvement:
    """Return a study that tells what the whole takes without each rule, and has no idle ones."""
    if ratios is None:
        return study
    found = dict(zip(tried, ratios, strict=True))
    study = replace(
        study,
        changes=tuple(
            replace(change, whole_ratio=found[change.rule].ratio)
            if change.kept and change.rule in found
            else change
            for change in study.changes
        ),
    )
    return taken_back(study, [rule for rule, each in found.items() if each.verdict != SLOWER], IDLE)


def without_moved(
    study: Improvement, check: Callable[[Recipe], tuple[OutputCheck, ...]]
) -> Improvement:
    """Return a study whose results agree with the plain program's, and how near they come.

    Where they do not with all changes, rule is added to rule, those that save most first, and then
    compiler options, and those are left out with which they do not.

    Args:
        study: Of which some changes are kept.
        check: Compares the results of a recipe with those of the plain program.
    """
    everything = recipe_of(study)
    outputs = check(everything)
    if all(each.agrees for each in outputs):
        return replace(study, outputs=outputs)
    names = kept_names(study)
    moved = names if len(names) == 1 else []
    agreeing: tuple[OutputCheck, ...] = ()
    for number, name in enumerate(names if len(names) > 1 else ()):
        left_out = [*moved, *names[number + 1 :]]
        found = check(recipe_of(taken_back(study, left_out, MOVED)))
        if all(each.agrees for each in found):
            agreeing = found
        else:
            moved.append(name)
    # What was refused is told where nothing is left.
    return replace(taken_back(study, moved, MOVED), outputs=agreeing or outputs)
