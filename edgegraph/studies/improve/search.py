"""Time every form of a site alone against the plain form, in turns; slow ones are dropped early."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.analysis.analyze import analyze
from edgegraph.base.timing import Clock, collector_paused
from edgegraph.compiler.objects import opened
from edgegraph.results.analysis import Totals
from edgegraph.rewrites.prepared import split
from edgegraph.rewrites.rewriter import Found
from edgegraph.rewrites.rule import Exactness, Rule, Site, forms
from edgegraph.studies.improve.proof import moved_by_one_ulp
from edgegraph.studies.improve.trials import Change

LEAST_GAIN = 1.3
"""Times faster alone, below which a form is not tried in the whole."""

HOPELESS = 2.0
"""Times slower than the best in the first rounds, from which on a form is dropped."""

FIRST_ROUNDS, MOST_ROUNDS = 3, 40

SECONDS_A_SITE = 0.4
"""Of timing, beside what compiling takes."""

NEAR: Mapping[Exactness, float] = {"exact": 1e-6, "reassociating": 1e-4, "lower precision": 1e-1}
"""Largest difference of a form's results on random numbers, relative to the largest of them."""

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule whose form agrees with the plain one, and how far it is from it."""

    rule: Rule
    difference: float


@dataclass(frozen=True, slots=True)
class Agreeing:
    """Forms of a site that give the plain results, compiled alone for this host.

    Attributes:
        candidates: By name of the rule.
        compiled: What runs them, the one called ``plain`` among them.
        operands: Random ones.
        executables: What is run, without preparation.
    """

    candidates: Mapping[str, Candidate]
    compiled: Mapping[str, Any]
    operands: Sequence[Any]
    executables: Mapping[str, jax.stages.Compiled]


def agreeing_forms(
    site: Site, allow: Collection[str], seed: int = 0, prepared: Sequence[int] = ()
) -> Agreeing:
    """Compile all forms of a site, and return those that agree with the plain one.

    Args:
        site: What is to be replaced.
        allow: Permissions for forms of lower precision.
        seed: Of the operands' values.
        prepared: Positions of operands that are weights: what depends on them alone is computed
            beforehand.
    """
    operands = [_values(struct, seed + n) for n, struct in enumerate(site.operands)]
    executables, compiled = {}, {}
    executables[PLAIN], compiled[PLAIN] = _compiled(site.plain, operands, prepared)
    expected = jax.tree.leaves(compiled[PLAIN](*operands))
    candidates: dict[str, Candidate] = {}
    for rule, form in forms(site, allow):
        executable, runs = _compiled(form, operands, prepared)
        difference = _difference(expected, jax.tree.leaves(runs(*operands)))
        near = NEAR[rule.exactness]
        if near < difference and rule.exactness == "reassociating":
            near = max(near, 4.0 * _sensitivity(compiled[PLAIN], expected, operands))
        if difference <= near:
            executables[rule.name], compiled[rule.name] = executable, runs
            candidates[rule.name] = Candidate(rule, difference)
    return Agreeing(candidates, compiled, operands, executables)


def _compiled(
    function: Callable[..., Any], operands: Sequence[Any], prepared: Sequence[int]
) -> tuple[jax.stages.Compiled, Callable[..., Any]]:
    """Compile a form, and return what runs it on all operands, too.

    What depends on prepared operands alone is computed once, here.
    """
    if not prepared:
        executable = jax.jit(function).lower(*operands).compile()
        return executable, executable
    others = [n for n in range(len(operands)) if n not in prepared]
    order = [*prepared, *others]

    def turned(*given: Any) -> Any:
        return function(*(given[order.index(n)] for n in range(len(operands))))

    halves = split(turned, [operands[n] for n in order], len(prepared))
    values = jax.jit(halves.prepare)(*(operands[n] for n in prepared))
    built = jax.jit(halves.run).lower(values, *(operands[n] for n in others)).compile()
    return built, lambda *given: built(values, *(given[n] for n in others))


def time_forms(
    found: Found,
    *,
    allow: Collection[str],
    clock: Clock,
    seed: int = 0,
    prepared: Sequence[int] = (),
) -> list[Change]:
    """Time all forms of a group of equal sites.

    Args:
        found: The sites.
        allow: Permissions for forms of lower precision.
        clock: Nanoseconds.
        seed: Of the operands' values, and of the order of turns.
        prepared: As `agreeing_forms` takes it.

    Returns:
        A change for every form that agrees with the plain one, `kept` where it is the best and
        fast enough to be tried in the whole.
    """
    agreeing = agreeing_forms(found.site, allow, seed, prepared)
    if not agreeing.candidates:
        return []
    times = time_in_turns(agreeing.compiled, agreeing.operands, clock, seed)
    best = min(times, key=times.__getitem__)
    changes = [
        change(found, candidate, times[PLAIN], times[name], name == best)
        for name, candidate in agreeing.candidates.items()
        if name in times
    ]
    return [_priced(each, agreeing) if each.kept else each for each in changes]


def _priced(change: Change, agreeing: Agreeing) -> Change:
    """Return a change with what both forms compute and move."""
    programs = (opened(agreeing.executables[name]) for name in (PLAIN, change.rule))
    plain, form = (analyze(program, measure=False).totals for program in programs)
    return replace(
        change, flops=plain.flops, plain_bytes=moved_bytes(plain), form_bytes=moved_bytes(form)
    )


def moved_bytes(totals: Totals) -> int | None:
    """Return what a program reads and writes; None where that is not known."""
    if totals.bytes_read is None or totals.bytes_written is None:
        return None
    return totals.bytes_read + totals.bytes_written


def change(found: Found, candidate: Candidate, plain_s: float, form_s: float, best: bool) -> Change:
    """Return the record of a form; the best one is kept where it is fast enough alone."""
    fast = plain_s >= LEAST_GAIN * form_s
    reason = None if best and fast else "another form is faster" if fast else "not faster alone"
    return Change(
        rule=candidate.rule.name,
        title=candidate.rule.title,
        exactness=candidate.rule.exactness,
        signature=found.site.signature,
        scopes=found.scopes,
        executions=found.executions,
        plain_s=plain_s,
        form_s=form_s,
        difference=candidate.difference,
        kept=reason is None,
        reason=reason,
    )


def time_in_turns(
    compiled: Mapping[str, Any],
    operands: Sequence[Any],
    clock: Clock,
    seed: int = 0,
    *,
    seconds: float = SECONDS_A_SITE,
) -> dict[str, float]:
    """Return the median time of each in seconds, without those that were dropped as hopeless.

    Args:
        compiled: Executables of the same operands; the one called ``plain`` is never dropped.
        operands: Their values.
        clock: Nanoseconds.
        seed: Of the order of turns.
        seconds: How long; three rounds at least.
    """
    shuffled = random.Random(seed)
    samples: dict[str, list[int]] = {name: [] for name in compiled}
    start = clock()
    with collector_paused():
        for number in range(MOST_ROUNDS):
            if number >= FIRST_ROUNDS and clock() - start > seconds * 1e9:
                break
            names = list(samples)
            shuffled.shuffle(names)
            for name in names:
                begun = clock()
                jax.block_until_ready(compiled[name](*operands))
                samples[name].append(clock() - begun)
            if number + 1 == FIRST_ROUNDS:
                fastest = min(map(min, samples.values()))
                samples = {
                    name: found
                    for name, found in samples.items()
                    if name == PLAIN or min(found) <= HOPELESS * fastest
                }
    return {name: median(found) * 1e-9 for name, found in samples.items()}


def _difference(expected: list[Any], found: list[Any]) -> float:
    """Return the largest difference, relative to the largest number of its array."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        left, right = np.asarray(one, np.float64), np.asarray(other, np.float64)
        largest = float(np.max(np.abs(left), initial=0.0))
        difference = float(np.max(np.abs(left - right), initial=0.0))
        worst = max(worst, difference / largest if largest else difference)
    return worst


def _sensitivity(plain: Callable[..., Any], expected: list[Any], operands: Sequence[Any]) -> float:
    """Return how far results move when all operands do by one unit in the last place."""
    moved = (plain(*moved_by_one_ulp(operands, to)) for to in (1, -1))
    return max(_difference(expected, jax.tree.leaves(each)) for each in moved)


def _values(struct: jax.ShapeDtypeStruct, seed: int) -> jax.Array:
    """Return random values of the magnitude of activations and weights."""
    drawn = np.random.default_rng(seed)
    if jnp.issubdtype(struct.dtype, jnp.floating):
        return jnp.asarray(drawn.standard_normal(struct.shape, np.float32)).astype(struct.dtype)
    return jnp.asarray(drawn.integers(0, 2, struct.shape)).astype(struct.dtype)
