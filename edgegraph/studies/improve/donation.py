"""Try to donate arguments whose buffers results can take, on the whole program."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import jax

from edgegraph.base.timing import Progress
from edgegraph.results.verdicts import FASTER, SLOWER
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import Donation
from edgegraph.studies.improve.whole import PLAIN, Recipe, Whole, recipe_of
from edgegraph.workload import Call


def with_donation(study: Improvement, whole: Whole, report: Progress) -> Improvement:
    """Return a study that tells what donation brings, kept where it saves time or memory.

    Args:
        study: Whose changes and options are settled.
        whole: Of the same workload.
        report: Told what is being done.
    """
    arguments = donatable(whole.call, whole.program(PLAIN).executable)
    # Prepared weights stay for the next call, and beside them there is data alone.
    if not arguments or study.prepared:
        return study
    report(f"{study.workload}: compiling with donated arguments", None)
    base = recipe_of(study)
    donation = _weighed(Donation(arguments=arguments), whole, base)
    found = whole.ratios(base, [replace(base, donate=arguments)])
    verdict = found[0].verdict if found else None
    saved = (donation.before_bytes or 0) > (donation.after_bytes or 0)
    kept = verdict == FASTER or (saved and verdict != SLOWER)
    donation = replace(
        donation,
        ratio=found[0].ratio if found else None,
        kept=kept,
        reason=None if kept else "makes the whole slower" if saved else "saves nothing",
    )
    return replace(study, donation=donation)


def weighed_again(study: Improvement, whole: Whole) -> Improvement:
    """Return a study whose donation tells the memory of what is still kept."""
    if study.donation is None or not study.donation.kept:
        return study
    return replace(study, donation=_weighed(study.donation, whole, recipe_of(study)))


def _weighed(donation: Donation, whole: Whole, recipe: Recipe) -> Donation:
    recipes = [replace(recipe, donate=each) for each in ((), donation.arguments)]
    before, after = (whole.program(each).memory for each in recipes)
    if before is None or after is None:
        return donation
    return replace(donation, before_bytes=before.peak_bytes, after_bytes=after.peak_bytes)


def donatable(call: Call, executable: Any) -> tuple[int, ...]:
    """Return the positions of arguments whose every array some result can take the place of.

    Weights that stay the same from call to call are none of them, nor is there any where the
    program donates already.

    Args:
        call: The plain one.
        executable: What it was compiled to.
    """
    if any(info.donated for info in jax.tree.leaves(executable.args_info)):
        return ()
    free = Counter(map(_kind, jax.tree.leaves(executable.out_info)))
    found = []
    first = 0 if call.updates else call.held
    for position in range(first, len(call.abstract) - len(call.keywords)):
        wanted = Counter(map(_kind, jax.tree.leaves(call.abstract[position])))
        if wanted and wanted <= free:
            free -= wanted
            found.append(position)
    return tuple(found)


def _kind(array: Any) -> tuple[Any, ...]:
    return array.shape, array.dtype
