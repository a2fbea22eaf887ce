"""Judge forms for a device that is not here, by its compiler's cycles or our estimate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgegraph.analysis.analyze import analyze
from edgegraph.analysis.estimates import compiler_coverage
from edgegraph.analysis.schedule import waits_s
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.errors import CompileError
from edgegraph.hlo.graph import flatten
from edgegraph.rewrites.decisions import rewritten_workload
from edgegraph.rewrites.rewriter import Found
from edgegraph.rewrites.rule import form_named
from edgegraph.studies.improve.cache import TimedForms
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.search import agreeing_forms, change, moved_bytes
from edgegraph.studies.improve.settle import kept_names, taken_back
from edgegraph.studies.improve.trials import Change, Estimate
from edgegraph.workload import Workload

KNOWN = 0.999
"""Share of a program that the compiler must have judged for its cycles to count."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds that a program takes by its compiler, by our estimate, and at the device's roof.

    `flops` and `moved_bytes` are what it computes, and what it reads and writes.
    """

    compiler: float | None
    estimated: float | None
    roof: float | None
    flops: int | None = None
    moved_bytes: int | None = None


def expected(program: Program) -> Expected:
    """Return what is known of the time that a whole program takes."""
    analysis = analyze(program, measure=False)
    totals, records = analysis.totals, analysis.op_records
    compiler_s = None
    if totals.compiler_time_s is not None and (compiler_coverage(records) or 0.0) >= KNOWN:
        waited_s = waits_s(flatten(program.module), records) if program.module.schedule else 0.0
        compiler_s = totals.compiler_time_s + waited_s
    return Expected(
        compiler=compiler_s,
        estimated=totals.expected_time_s,
        roof=totals.overlapped_time_s,
        flops=totals.flops,
        moved_bytes=moved_bytes(totals),
    )


def held_against(plain: Expected, other: Expected) -> Estimate | None:
    """Return both times by one source, the first that knows both."""
    for source in ("compiler", "estimated", "roof"):
        before_s, after_s = getattr(plain, source), getattr(other, source)
        if before_s and after_s:
            return Estimate(before_s=before_s, after_s=after_s, source=source)
    return None


def judge_forms(
    found: Found, *, allow: Collection[str], target: str, known: TimedForms
) -> list[Change]:
    """Judge all forms of a group of equal sites, each compiled alone for a device elsewhere.

    A form that this compiler refuses, or of which nothing is known, is left out.

    Args:
        found: The sites.
        allow: Permissions for forms of lower precision.
        target: What to compile for.
        known: What was timed on this host.
    """
    site = found.site
    candidates = agreeing_forms(site, allow).candidates
    here = {each.rule: each.gain for each in known.get(site.signature) or ()}

    def compiled(function: Any) -> Expected:
        return expected(compile_workload(function, *site.operands, target=target, name=site.name))

    judged: dict[str, Estimate] = {}
    moved: dict[str, int | None] = {}
    plain = compiled(site.plain) if candidates else Expected(None, None, None)
    for name in candidates:
        try:
            form = compiled(form_named(site, name))
        except CompileError:
            continue
        estimate, moved[name] = held_against(plain, form), form.moved_bytes
        if estimate is not None:
            judged[name] = estimate
    best = max(judged, key=lambda name: judged[name].gain, default=None)
    return [
        replace(
            change(found, candidates[name], estimate.before_s, estimate.after_s, name == best),
            time_source=estimate.source,
            gain_here=here.get(name),
            flops=plain.flops,
            plain_bytes=plain.moved_bytes,
            form_bytes=moved[name],
        )
        for name, estimate in judged.items()
    ]


def judged(study: Improvement, workload: Workload, options: Mapping[str, Any]) -> Improvement:
    """Return a study that tells what the whole is expected to take, before and after.

    Args:
        study: Whose changes are kept.
        workload: What was changed.
        options: ``batch`` of the workload, and the ``target``.
    """
    programs = (
        compile_workload(each, **options)
        for each in (workload, rewritten_workload(workload, study.decisions))
    )
    study = replace(study, estimate=held_against(*map(expected, programs)))
    if study.estimate is None or study.estimate.gain <= 1.0:
        return taken_back(study, kept_names(study), "the whole is not faster")
    return study
