"""Improve a program: find its sites, time their forms, put the best together, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax

from edgegraph.base.timing import Progress, monotonic_clock, no_progress
from edgegraph.errors import InputError
from edgegraph.measure.compare import compare_timings
from edgegraph.measure.environment import environment
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.rewrites.rewriter import Found, find_sites
from edgegraph.rewrites.rule import Exactness, forms
from edgegraph.studies.improve.cache import TimedForms
from edgegraph.studies.improve.proof import Proof
from edgegraph.studies.improve.result import Change, Improvement
from edgegraph.studies.improve.search import time_forms
from edgegraph.studies.improve.settle import kept_rules, taken_back, without_idle, without_moved
from edgegraph.studies.improve.whole import PLAIN, Whole, recipe_of
from edgegraph.workload import Workload

ALWAYS: frozenset[Exactness] = frozenset({"exact", "reassociating"})
"""Forms that need no permission."""

SECONDS = 60.0


def improve(
    subject: Workload | Callable[..., Any],
    *,
    args: Sequence[Any] | None = None,
    batch: int = 1,
    seconds: float = SECONDS,
    processes: int = 5,
    progress: Progress | None = None,
) -> Improvement:
    """Try equivalent forms of what a program does, and keep those that make it faster.

    Every group of equal sites (primitive, parameters, shapes) is compiled alone in its plain form
    and in every form that a rule knows, and timed in turns; what was timed before on this machine
    is taken from the cache folder. The best forms are put together, and rules are taken back that
    the whole is no slower without. Its results have to lie within four times of what the plain
    program's own results move when its inputs change by one unit in the last place. Then it is
    compared with the plain program in fresh processes.

    Ctrl-C ends the search, and what was found is put together; once more, it ends what is done
    with the whole, and the study says what was left out.

    Args:
        subject: A Workload, or a function with `args`.
        args: Arguments of a function.
        batch: Batch size of a Workload.
        seconds: How long to search. The whole is tried without single rules for half as long.
        processes: How many fresh processes compare the whole, 3 at least.
        progress: Called with a message and a fraction.

    Raises:
        InputError: An argument cannot be used.
        CompileError: JAX cannot trace, or XLA cannot compile the function.

    Example:
        >>> import edgegraph as eg
        >>> from models.mobilenet import mobilenet_v2
        >>> study = eg.improve(mobilenet_v2(), batch=1)  # doctest: +SKIP
        >>> fast = jax.jit(study.function)  # doctest: +SKIP
    """
    report = progress or no_progress
    if seconds <= 0:
        raise InputError(f"seconds must be positive, not {seconds}")
    workload = _workload(subject, args)
    prefer_synchronous_dispatch()
    call = workload.call(batch)
    report(f"{workload.name}: tracing", None)
    sites = [
        found
        for found in find_sites(jax.make_jaxpr(call.function)(*call.abstract))
        if any(True for _ in forms(found.site))
    ]
    changes, untried = _search(sites, seconds, report)
    study = Improvement(
        workload=workload.name,
        batch=batch if isinstance(subject, Workload) else None,
        target="cpu",
        environment=environment(),
        changes=changes,
        untried=untried,
    )
    study = _finished(study, Whole(workload, batch), seconds / 2, processes, progress)
    # No field, since a file cannot hold code.
    object.__setattr__(study, "_source", workload)
    return study


def _workload(subject: Workload | Callable[..., Any], args: Sequence[Any] | None) -> Workload:
    if isinstance(subject, Workload):
        return subject
    if args is None:
        raise InputError(f"cannot improve {subject!r} without arguments; pass them as args=(...)")
    return Workload.from_function(subject, lambda batch: tuple(args))


def _search(
    sites: Collection[Found], seconds: float, report: Progress
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Time the forms of all sites, those with most to do first, as long as there is time."""
    ordered = sorted(sites, key=lambda found: -found.site.work * found.executions)
    end = monotonic_clock() + seconds * 1e9
    known = TimedForms()
    changes: list[Change] = []
    untried: list[str] = []
    number = 0
    try:
        for number, found in enumerate(ordered):
            signature = found.site.signature
            timed = known.get(signature)
            if timed is None and monotonic_clock() > end:
                untried.append(signature)
                continue
            if timed is None:
                report(f"trying forms of {found.site.primitive.name}", number / len(ordered))
                timed = time_forms(found, allow=ALWAYS, clock=monotonic_clock)
                known.put(signature, timed)
            changes += [
                replace(change, scopes=found.scopes, executions=found.executions)
                for change in timed
            ]
    except KeyboardInterrupt:
        report("interrupted; going on with what was found so far", None)
        untried += [found.site.signature for found in ordered[number:]]
    finally:
        known.save()
    return tuple(sorted(changes, key=lambda change: -change.saved_s)), tuple(untried)


def _finished(
    study: Improvement, whole: Whole, seconds: float, processes: int, progress: Progress | None
) -> Improvement:
    """Try, prove and compare the whole; Ctrl-C leaves it as far as it is."""
    report = progress or no_progress

    def compared(study: Improvement) -> Improvement:
        programs = [whole.program(recipe) for recipe in (PLAIN, recipe_of(study))]
        names = (study.workload, f"{study.workload}, improved")
        timing = compare_timings(*programs, names=names, processes=processes, progress=progress)
        study = replace(study, timing=timing)
        slower = kept_rules(study) if timing.ratio >= 1.0 else ()
        return taken_back(study, slower, "the whole is not faster")

    def proven(study: Improvement) -> Improvement:
        report(f"{study.workload}: comparing results", None)
        return without_moved(study, Proof(whole).check)

    steps: dict[str, Callable[[Improvement], Improvement]] = {
        "trying the whole without each rule": partial(
            without_idle, whole=whole, seconds=seconds, report=report
        ),
        "comparing the results": proven,
        "comparing the times": compared,
    }
    for name, step in steps.items():
        if not study.decisions:
            break
        try:
            study = step(study)
        except KeyboardInterrupt:
            return replace(study, interrupted=name)
    return study
