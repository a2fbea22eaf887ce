"""Improve a program: find its sites, time their forms, put the best together, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.base.timing import Progress, monotonic_clock, no_progress
from edgegraph.errors import InputError
from edgegraph.measure.compare import compare_timings
from edgegraph.measure.environment import environment
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.results.timing import TimingComparison
from edgegraph.rewrites.decisions import rewritten_workload
from edgegraph.rewrites.rewriter import Found, find_sites, rewritten
from edgegraph.rewrites.rule import Exactness, forms
from edgegraph.studies.improve.cache import TimedForms
from edgegraph.studies.improve.result import Change, Improvement, OutputCheck
from edgegraph.studies.improve.search import moved_by_one_ulp, time_forms
from edgegraph.workload import Call, Workload

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
    is taken from the cache folder. The best forms are put together, and the whole is compared with
    the plain program in fresh processes. Its results have to lie within four times of what the
    plain program's own results move when its inputs change by one unit in the last place.

    Args:
        subject: A Workload, or a function with `args`.
        args: Arguments of a function.
        batch: Batch size of a Workload.
        seconds: How long to search, after which the best so far is compared.
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
    study = _proven(study, workload, call, report)
    if study.decisions:
        timing = _compared(study, workload, batch, processes, progress)
        study = replace(study, timing=timing)
        if timing.ratio >= 1.0:
            study = _taken_back(study, "the whole is not faster")
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


def _proven(study: Improvement, workload: Workload, call: Call, report: Progress) -> Improvement:
    """Return a study whose kept changes leave all results as they are, as near as can be told."""
    if not study.decisions:
        return study
    report(f"{workload.name}: comparing results", None)
    study = replace(study, outputs=_outputs(call, study.decisions))
    if all(each.agrees for each in study.outputs):
        return study
    return _taken_back(study, "results moved too far")


def _taken_back(study: Improvement, reason: str) -> Improvement:
    return replace(
        study,
        changes=tuple(
            replace(change, kept=False, reason=reason) if change.kept else change
            for change in study.changes
        ),
    )


def _compared(
    study: Improvement,
    workload: Workload,
    batch: int,
    processes: int,
    progress: Progress | None,
) -> TimingComparison:
    return compare_timings(
        workload,
        rewritten_workload(workload, study.decisions),
        batch=batch,
        names=(workload.name, f"{workload.name}, improved"),
        processes=processes,
        progress=progress,
    )


def _outputs(call: Call, decisions: Mapping[str, str]) -> tuple[OutputCheck, ...]:
    """Compare all results of the two programs, and of the plain one with inputs moved a little."""
    arguments = call.concrete()
    plain = jax.jit(call.function)
    before = plain(*arguments)
    after = jax.jit(rewritten(call.function, decisions))(*arguments)
    moved = plain(*moved_by_one_ulp(arguments))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(before)]
    return tuple(
        OutputCheck(
            name=path or "result",
            largest=_largest(one),
            difference=_largest(one, other),
            sensitivity=_largest(one, third),
        )
        for path, one, other, third in zip(
            paths, *map(jax.tree.leaves, (before, after, moved)), strict=True
        )
    )


def _largest(array: Any, other: Any = None) -> float:
    """Return the largest number of an array, or of its difference from another."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return 0.0
    values = np.asarray(array, np.float64)
    if other is not None:
        values = values - np.asarray(other, np.float64)
    return float(np.nanmax(np.abs(values), initial=0.0))
