"""Try XLA compiler options on the whole program, as forms are tried on its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph.base.timing import Progress, monotonic_clock
from edgegraph.errors import first_line
from edgegraph.results.verdicts import FASTER
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import OptionTrial, OptionValue
from edgegraph.studies.improve.whole import Recipe, Whole, recipe_of

CANDIDATES: Mapping[str, OptionValue] = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_enable_concurrency_optimized_scheduler": False,
    "xla_cpu_multi_thread_eigen": False,
}
"""Options of XLA's CPU backend that some program may gain by, the likeliest first: without the
library YNN, without fusion emitters, in the order of memory, on one thread. None changes what is
computed by more than the order of sums."""

ALLOWED: Mapping[str, tuple[str, OptionValue]] = {
    "fast-math": ("xla_cpu_enable_fast_math", True),
}
"""Options that need a permission."""


def with_options(study: Improvement, whole: Whole, seconds: float, report: Progress) -> Improvement:
    """Return a study that tells which options make the whole faster, and keeps these.

    Every one is tried on the whole with all kept changes, in turns with the whole that has none.
    The best is kept, and each further one that makes the whole faster beside the kept ones.

    Args:
        study: Whose changes are settled.
        whole: Of the same workload.
        seconds: Compile as long as the next one is likely to end by then.
        report: Told what is being done.
    """
    base = recipe_of(study)
    cost_s = whole.compile_s(base)
    begun = monotonic_clock()
    candidates = [*CANDIDATES.items(), *(ALLOWED[each] for each in study.allow if each in ALLOWED)]
    trials: dict[str, OptionTrial] = {}
    recipes: dict[str, Recipe] = {}
    for name, value in candidates:
        reason = refusal(name, value)
        if reason is None and monotonic_clock() - begun + cost_s * 1e9 > seconds * 1e9:
            reason = "no time left"
        if reason is None:
            report(f"{study.workload}: compiling with {name}={value}", None)
            recipes[name] = base.with_option(name, value)
            whole.program(recipes[name])
        trials[name] = OptionTrial(name=name, value=value, reason=reason)
    if recipes:
        report(f"{study.workload}: timing the whole with each of {len(recipes)} options", None)
        ratios = whole.ratios(base, list(recipes.values()))
        for name, found in zip(recipes, ratios or (), strict=False):
            trials[name] = replace(
                trials[name],
                ratio=found.ratio,
                kept=found.verdict == FASTER,
                reason=None if found.verdict == FASTER else "does not help the whole",
            )
        for name in recipes if ratios is None else ():
            trials[name] = replace(trials[name], reason="too slow to be timed in turns")
    study = replace(study, options=tuple(trials.values()))
    return _only_together(study, whole, report)


def _only_together(study: Improvement, whole: Whole, report: Progress) -> Improvement:
    """Keep the options that still help beside those that help more."""
    kept = sorted((each for each in study.options if each.kept), key=lambda each: each.ratio or 1.0)
    beside = {each.name for each in kept[:1]}
    for each in kept[1:]:
        report(f"{study.workload}: compiling with {each.name}={each.value}, too", None)
        before, after = (_with_only(study, names) for names in (beside, beside | {each.name}))
        found = whole.ratios(recipe_of(before), [recipe_of(after)])
        if found is not None and found[0].verdict == FASTER:
            beside.add(each.name)
    return _with_only(study, beside)


def _with_only(study: Improvement, names: set[str]) -> Improvement:
    options = (
        replace(each, kept=False, reason="does not help beside the others")
        if each.kept and each.name not in names
        else each
        for each in study.options
    )
    return replace(study, options=tuple(options))


def refusal(name: str, value: OptionValue) -> str | None:
    """Return why this XLA does not take an option; None where it does."""
    options: Any = {name: value}
    lowered = jax.jit(jnp.negative).lower(jax.ShapeDtypeStruct((), "float32"))
    try:
        lowered.compile(compiler_options=options)
    except Exception as error:  # XLA's errors have no common public type
        return f"not taken by this XLA: {first_line(error)}"
    return None
