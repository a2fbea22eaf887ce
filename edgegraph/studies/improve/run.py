"""Improve a program: find its sites, time their forms, combine the best, and verify the result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from edgegraph.base.timing import Progress, monotonic_clock, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.objects import opened
from edgegraph.compiler.targets import parse_target
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.measure.archive import check_portable
from edgegraph.measure.compare import compare_timings
from edgegraph.measure.environment import environment
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.rewrites.folding import folded
from edgegraph.rewrites.prepared import held_operands
from edgegraph.rewrites.rewriter import Found, find_replaceable
from edgegraph.rewrites.rule import PERMISSIONS
from edgegraph.studies.improve.cache import (
    SettledWholes,
    TimedForms,
    settled_again,
    settled_of,
    whole_key,
)
from edgegraph.studies.improve.donation import weighed_again, with_donation
from edgegraph.studies.improve.elsewhere import judge_forms, judged
from edgegraph.studies.improve.options import with_options
from edgegraph.studies.improve.proof import Proof, check_differentiable
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.search import time_forms
from edgegraph.studies.improve.settle import kept_names, taken_back, without_idle, without_moved
from edgegraph.studies.improve.trials import DONATED, ROUNDING, Change
from edgegraph.studies.improve.whole import PLAIN, Whole, recipe_of
from edgegraph.workload import Workload

SECONDS = 60.0

HERE = "cpu"

TOLERANCES = {"bf16": 0.02, "int8": 0.1, "fast-math": 1e-4}
"""Share of its largest number that a result may move where a permission is given."""


def improve(
    subject: Workload | Callable[..., Any],
    *,
    args: Sequence[Any] | None = None,
    batch: int = 1,
    seconds: float = SECONDS,
    processes: int = 5,
    allow: Collection[str] = (),
    tolerance: float | None = None,
    gradients: bool = False,
    target: str = "cpu",
    prepare: bool = False,
    weights: int = 0,
    progress: Progress | None = None,
) -> Improvement:
    """Try equivalent forms of what a program does, and keep those that make it faster.

    Every group of equal sites (primitive, parameters, shapes) is compiled alone in its plain form
    and in every form that a rule knows, and timed in turns; what was timed before on this machine
    is taken from the cache folder. The best forms are put together, and rules are taken back that
    the whole is no slower without. Its results have to lie within four times of what the plain
    program's own results move when its inputs change by one unit in the last place. Then it is
    compared with the plain program in fresh processes.

    Compiler options that this XLA takes are tried on the whole, too, and so is the donation of
    arguments whose place results can take; it is kept where it saves time or memory.

    Ctrl-C ends the search, and what was found is put together; once more, it ends what is done
    with the whole, and the study says what was left out.

    Args:
        subject: A Workload, or a function with `args`.
        args: Arguments of a function.
        batch: Batch size of a Workload.
        seconds: How long to search. The whole is tried without single rules for half as long, and
            with compiler options again.
        processes: How many fresh processes compare the whole, 3 at least.
        allow: Forms of lower precision that may be tried: ``bf16``, ``int8``, ``fast-math``.
        tolerance: Share of its largest number that a result may move besides four times what it
            moves by itself; 1e-6 where None, and with `allow` 0.02 for ``bf16``, 0.1 for
            ``int8`` and 1e-4 for ``fast-math``.
        gradients: Compare the gradient of the sum of all results, too: of a function that will
            be differentiated. The results of a training step hold its gradients already.
        target: ``cpu``, this host, where all is measured; or a device that is not here, such as
            ``tpu:v5e`` or ``gpu:h100``, for which every form is compiled ahead of time and judged
            by its compiler's own cycles, or by our estimate. Results are compared on this host.
        prepare: Compute what depends on the weights alone beforehand, and choose forms for that;
            `Improvement.prepare` does it, `Improvement.prepared_function` takes what it returns.
        weights: How many of the first arguments of a function are weights, which stay the same
            from call to call; a Workload of a Flax model knows it.
        progress: Called with a message and a fraction.

    Raises:
        InputError: An argument cannot be used, or the function has no gradient to compare.
        CompileError: JAX cannot trace, or XLA cannot compile the function.

    Example:
        >>> import edgegraph as eg
        >>> from models.mobilenet import mobilenet_v2
        >>> study = eg.improve(mobilenet_v2(), batch=1)  # doctest: +SKIP
        >>> fast = jax.jit(study.function)  # doctest: +SKIP
    """
    how = _How(
        seconds=seconds,
        processes=processes,
        allow=_allowed(allow),
        tolerance=_tolerance(tolerance, _allowed(allow)),
        gradients=gradients,
        target=parse_target(target).name,
        prepare=prepare,
    )
    workload = _workload(subject, args, weights)
    prefer_synchronous_dispatch()
    whole = Whole(workload, batch)
    if prepare:
        _check_weights(whole)
    if gradients:
        check_differentiable(whole.call.function, whole.call.abstract)
    study = replace(
        _searched(whole, how, progress or no_progress),
        batch=batch if isinstance(subject, Workload) else None,
    )
    study = _finished(study, whole, how, progress)
    # No field, since a file cannot hold code.
    object.__setattr__(study, "_source", workload)
    return study


def _check_weights(whole: Whole) -> None:
    if not whole.call.held or whole.call.updates:
        raise InputError(
            f"{whole.workload.name!r} has no weights to prepare; say with weights=... how many of"
            " a function's first arguments stay the same, and train no model meanwhile"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How long and how carefully to search, and to try, prove and compare the whole."""

    seconds: float
    processes: int
    allow: tuple[str, ...]
    tolerance: float
    gradients: bool
    target: str
    prepare: bool

    def __post_init__(self) -> None:
        if self.prepare and self.target != HERE:
            raise InputError(
                f"prepared weights are tried on this host, and not for {self.target!r}; leave out"
                " one of prepare and target"
            )
        if self.seconds <= 0:
            raise InputError(f"seconds must be positive, not {self.seconds}")


def _workload(
    subject: Workload | Callable[..., Any], args: Sequence[Any] | None, weights: int
) -> Workload:
    if isinstance(subject, Workload):
        return subject
    if args is None:
        raise InputError(
            f"cannot improve {subject!r:.80} without arguments; pass them as args=(...)"
        )
    if not 0 <= weights <= len(args):
        raise InputError(
            f"weights must be from 0 to {len(args)}, as there are arguments, not {weights}"
        )
    plain = opened(subject, tuple(args))
    if not isinstance(plain, Workload):
        raise InputError(f"cannot improve {subject!r:.80}, which is compiled; pass the function")
    return replace(plain, call=lambda batch: replace(plain.call(batch), held=weights))


def _allowed(allow: Collection[str]) -> tuple[str, ...]:
    for each in (allow,) if isinstance(allow, str) else allow:
        if each not in PERMISSIONS:
            raise InputError(f"allow has {each!r}; expected {', '.join(PERMISSIONS)}")
    return tuple(each for each in PERMISSIONS if each in allow)


def _tolerance(tolerance: float | None, allow: Collection[str]) -> float:
    if tolerance is not None and not 0.0 <= tolerance < 1.0:
        raise InputError(f"tolerance must be a share of at least 0 and below 1, not {tolerance}")
    asked = [TOLERANCES[each] for each in allow]
    return max(ROUNDING, *asked) if tolerance is None and asked else tolerance or ROUNDING


def _searched(whole: Whole, how: _How, report: Progress) -> Improvement:
    """Return a study of single sites."""
    name, call = whole.workload.name, whole.call
    report(f"{name}: tracing", None)
    if how.target == HERE:
        check_portable(whole.program(PLAIN))
    # Lowered for the names of its layers, which are there while EdgeGraph traces.
    traced = compile_workload(whole.workload, batch=whole.batch, stage="lowered")
    sites = find_replaceable(traced.jaxpr, how.allow)
    weights = held_operands(call.function, call.abstract, call.held) if how.prepare else {}
    changes, untried = _search(sites, weights, how, report)
    return Improvement(
        workload=name,
        batch=whole.batch,
        target=how.target,
        environment=environment(),
        changes=changes,
        untried=untried,
        allow=how.allow,
        prepared=how.prepare,
        device=_device(how.target),
        folded=folded(call.function, call.abstract, call.held).count if how.prepare else 0,
    )


def _device(target: str) -> Device | None:
    """Return the device of a target; of this host its calibration, if there is one."""
    name = parse_target(target).device
    return load_calibration() if name is None else find_device(name)


def _search(
    sites: Collection[Found], weights: Mapping[str, tuple[int, ...]], how: _How, report: Progress
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Try the forms of all sites, those with most to do first, as long as there is time."""
    ordered = sorted(sites, key=lambda found: -found.site.work * found.executions)
    end = monotonic_clock() + how.seconds * 1e9
    known = TimedForms(how.allow)
    changes: list[Change] = []
    untried: list[str] = []
    number = 0
    try:
        for number, found in enumerate(ordered):
            signature = found.site.signature
            prepared = weights.get(signature, ())
            timed = known.get(_key(signature, prepared)) if how.target == HERE else None
            if timed is None and monotonic_clock() > end:
                untried.append(signature)
                continue
            if timed is None:
                report(f"trying forms of {found.site.primitive.name}", number / len(ordered))
                timed = _tried(found, prepared, how, known)
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


def _key(signature: str, prepared: Sequence[int]) -> str:
    """Name a kind of site whose operands at some positions are prepared."""
    return f"{signature} prepared {list(prepared)}" if prepared else signature


def _tried(found: Found, prepared: Sequence[int], how: _How, known: TimedForms) -> list[Change]:
    """Time the forms of a site and remember it, or judge them for another device."""
    if how.target != HERE:
        return judge_forms(found, allow=how.allow, target=how.target, known=known)
    timed = time_forms(found, allow=how.allow, clock=monotonic_clock, prepared=prepared)
    known.put(_key(found.site.signature, prepared), timed)
    return timed


def _finished(
    study: Improvement, whole: Whole, how: _How, progress: Progress | None
) -> Improvement:
    """Try, verify and compare the whole; after Ctrl-C the study has what was done so far."""
    report = progress or no_progress
    steps: dict[str, Callable[[Improvement], Improvement]] = {
        "trying the whole": partial(_settled, whole=whole, how=how, report=report),
        "comparing the results": partial(_proven, whole=whole, how=how, report=report),
        "comparing the times": partial(_compared, whole=whole, how=how, progress=progress),
    }
    for name, step in steps.items():
        if not study.kept and name != "trying the whole":
            break
        try:
            study = step(study)
        except KeyboardInterrupt:
            return replace(study, interrupted=name)
    return study


def _settled(study: Improvement, whole: Whole, how: _How, report: Progress) -> Improvement:
    """Try the whole without each rule and with compiler options, if that was not done before."""
    if how.target != HERE:
        return study
    known = SettledWholes(how.allow)
    key = whole_key(study, whole, how.seconds)
    before = known.get(key)
    if before is not None:
        return settled_again(study, before)
    after = without_idle(study, whole, how.seconds / 2, report)
    after = with_options(after, whole, how.seconds / 2, report)
    after = with_donation(after, whole, report)
    known.put(key, settled_of(study, after))
    known.save()
    return after


def _proven(study: Improvement, whole: Whole, how: _How, report: Progress) -> Improvement:
    """Compare the results, on this host, and leave out what moves them too far."""
    report(f"{study.workload}: comparing results", None)
    proof = Proof(whole, seconds=how.seconds / 4, tolerance=how.tolerance, gradients=how.gradients)
    return replace(without_moved(study, proof.check), inputs=proof.inputs)


def _compared(
    study: Improvement, whole: Whole, how: _How, progress: Progress | None
) -> Improvement:
    """Compare the times in fresh processes, or what is expected of a device elsewhere."""
    if how.target != HERE:
        return judged(study, whole.workload, {"batch": whole.batch, "target": how.target})
    timing = compare_timings(
        *[whole.program(recipe) for recipe in (PLAIN, recipe_of(study))],
        names=(study.workload, f"{study.workload}, improved"),
        processes=how.processes,
        progress=progress,
    )
    prepare_s = whole.prepare_s(recipe_of(study)) if study.prepared else None
    study = replace(study, timing=timing, prepare_s=prepare_s)
    # Donation is kept for the memory that it saves.
    slower = [each for each in kept_names(study) if timing.ratio >= 1.0 and each != DONATED]
    return weighed_again(taken_back(study, slower, "the whole is not faster"), whole)
