"""``edgegraph sweep``: latency and throughput over the batch size, or another axis."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli import run
from edgegraph.cli.completion import complete_spec
from edgegraph.cli.ending import say
from edgegraph.cli.job import (
    CODE_ONLY,
    Job,
    StoreOption,
    grouped_options,
    open_if_given,
    parse_assignments,
    parse_options_set,
    parse_sizes,
    parse_time,
)
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    StudyFilesByTarget,
    check_files,
    present_study,
    progress,
)
from edgegraph.errors import EdgeGraphError, InputError, NoisyMeasurementError
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.studies.sweep.plan import Plan
    from edgegraph.studies.sweep.result import Sweep, SweepPoint
    from edgegraph.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What to sweep over, what takes the points, and where they go."""

    batches: Annotated[
        str | None,
        typer.Option(
            help="Batch sizes: 1:256 (each twice the last), 1,2,8, or both: 1,8:64. Default: 1:256;"
            " 1 beside --vary."
        ),
    ] = None
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="AXIS=SIZES",
            help="Sizes along an axis of the workload: length=128,512,2048; batch=1:64 is"
            " --batches. Repeatable: two axes.",
        ),
    ] = None
    targets: Annotated[
        str, typer.Option(metavar="LIST", help="What to compile for: cpu,tpu:v5e,gpu:orin.")
    ] = "cpu"
    dtypes: Annotated[
        str | None, typer.Option(metavar="LIST", help="One curve for each dtype: float32,bfloat16.")
    ] = None
    options_set: Annotated[
        list[str] | None,
        typer.Option(
            "--options-set",
            metavar="NAME:KEY=VALUE,...",
            help="One more curve, compiled with these XLA options; repeatable.",
        ),
    ] = None
    max_latency: Annotated[
        str | None,
        typer.Option("--max-latency", metavar="TIME", help="Name the best batch within it: 10ms."),
    ] = None
    time_limit: Annotated[
        str | None,
        typer.Option(
            "--time-limit",
            metavar="TIME",
            help="For tracing and compiling a point; one that takes longer becomes a row with its"
            " error: 60s.",
        ),
    ] = None
    store: StoreOption = None
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Take points in N processes of this machine; 0: in this one alone. Default: 0"
            " for one SPEC and target, else one for each core.",
        ),
    ] = None
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Take points on a Dask cluster: tcp://10.0.0.1:8786."),
    ] = None
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; do not continue an interrupted sweep.")
    ] = False
    output: StudyFilesByTarget = None
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on one line for every sweep.")
    ] = False

    @property
    def budget_s(self) -> float | None:
        """The latency budget in seconds."""
        text = self.max_latency
        return None if text is None else parse_time("--max-latency", text)

    @property
    def limit_s(self) -> float | None:
        """The time limit in seconds."""
        text = self.time_limit
        return None if text is None else parse_time("--time-limit", text)


@grouped_options(without=("batch", "target", "stage", *CODE_ONLY))
def sweep(
    job: Job,
    swept: Swept,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="SPEC", help="More workloads.", autocompletion=complete_spec),
    ] = None,
) -> None:
    """Measure and predict latency and throughput over the batch size, and find the knee.

    --vary does so along an axis of the workload, or two: what each figure grows like, and where
    another layer becomes the largest.

    An interrupted sweep keeps its finished points, and the same command continues it. A batch that
    fails becomes a row with its error. Points that are only compiled use all workers; those that
    are timed have their machine to themselves.
    """
    check_files(swept.output or (), STUDY_SUFFIXES)
    if run.is_saved(job) and not more:
        from edgegraph.studies.sweep.result import Sweep

        saved = run.load_saved(job, Sweep)
        budget_s = saved.max_latency_s if swept.budget_s is None else swept.budget_s
        saved = replace(saved, max_latency_s=budget_s)
        _present(saved, swept.output or (), json=swept.json)
        return
    plans = _plans([job, *(replace(job, spec=spec) for spec in more or ())], swept)
    parts: list[list[Sweep]] = [[] for _ in plans]
    interrupted = False
    try:
        _collect(plans, parts, swept)
    except KeyboardInterrupt:
        interrupted = True
    written = _present_all(plans, parts, swept)
    if interrupted:
        told = f"{sum(map(len, parts))} of {sum(len(plan.cells) for plan in plans)} points"
        run.exit_interrupted(f"{', '.join([told, *map(str, written)])}; the same command continues")
    for plan, own in zip(plans, parts, strict=True):
        _check(job, f"{plan.name}, {plan.target}", [point for part in own for point in part.points])


@dataclass(frozen=True, slots=True)
class Named:
    """The workload that SPEC names, made again wherever it is needed."""

    job: Job

    def __call__(self, dtype: str | None = None) -> Workload:
        """Make it."""
        return run.resolve(self.job, dtype=dtype)


def _plans(jobs: Sequence[Job], swept: Swept) -> tuple[Plan, ...]:
    job = jobs[0]
    for each in jobs:
        run.check_is_code(each, "a sweep compiles the workload at every batch size")
    for name in ("workers", "time_limit") if swept.dask is not None else ():
        if getattr(swept, name) is not None:
            option = name.replace("_", "-")
            raise InputError(f"--dask and --{option} exclude each other; leave one out")
    sets = [parse_options_set(text) for text in swept.options_set or ()]
    names = [name for name, _ in sets]
    if len(set(names)) < len(names):
        raise InputError(f"--options-set has one name twice: {', '.join(names)}")
    if swept.dtypes is not None and job.dtype is not None:
        raise InputError("give --dtype or --dtypes, not both")
    batches = None if swept.batches is None else parse_sizes("--batches", swept.batches)
    pairs = parse_assignments("--vary", swept.vary or ())
    vary = {axis: parse_sizes(f"--vary {axis}", text) for axis, text in pairs.items()}
    budget_s = swept.budget_s

    from edgegraph.studies.sweep.plan import make_plans

    return make_plans(
        [Named(each) for each in jobs],
        targets=_listed(swept.targets),
        measure=job.measure,
        batches=batches,
        vary=vary,
        dtypes=None if swept.dtypes is None else _listed(swept.dtypes),
        options=run.options(job),
        option_sets=dict(sets),
        max_latency_s=budget_s,
        settings=run.settings(job),
        compile_limit_s=swept.limit_s,
    )


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _collect(plans: Sequence[Plan], parts: Sequence[list[Sweep]], swept: Swept) -> None:
    """Take the points one by one, so that an interruption leaves those that are finished."""
    from edgegraph.studies.sweep.run import choose_run, dask_executor, take_all

    total = sum(len(plan.cells) for plan in plans)

    def say_continued(count: int) -> None:
        say(
            f"continuing an interrupted sweep: {count} of {total} points are there; --fresh"
            " starts over"
        )

    workers = 0 if swept.workers is None and len(plans) == 1 else swept.workers
    with ExitStack() as held:
        database = held.enter_context(open_if_given(swept.store))
        executor = None if swept.dask is None else held.enter_context(dask_executor(swept.dask))
        report = held.enter_context(progress())
        taken = take_all(
            plans,
            run=choose_run(executor, workers),
            fresh=swept.fresh,
            store=database,
            on_continue=say_continued,
            progress=report,
        )
        for number, part in taken:
            parts[number].append(part)


def _present_all(
    plans: Sequence[Plan], parts: Sequence[Sequence[Sweep]], swept: Swept
) -> list[Path]:
    """Present every sweep that has points; return the files that were written."""
    written = []
    names: Counter[str] = Counter()
    paths = swept.output or []
    for plan, own in zip(plans, parts, strict=True):
        name = re.sub(r"[^\w.-]+", "-", f"{plan.name}_{plan.target}")
        names[name] += 1
        if names[name] > 1:
            name += f"_{names[name]}"
        if own:
            named = [p.with_stem(f"{p.stem}_{name}") for p in paths] if len(plans) > 1 else paths
            written += _present(plan.result(own), named, json=swept.json)
    return written


def _present(sweep: Sweep, paths: Sequence[Path], *, json: bool) -> list[Path]:
    return present_study(sweep, paths, json=json, has_figure=sweep.has_figure)


def _check(job: Job, name: str, points: Sequence[SweepPoint]) -> None:
    """Fail where nothing was measured, and where ``--strict`` asks for more certainty."""
    errors = [point for point in points if point.error is not None]
    if len(errors) == len(points):
        first = errors[0]
        raise EdgeGraphError(f"{name}: every point failed; {first.label}: {first.error}")
    for point in points if job.strict else ():
        if point.verdict != OK:
            raise NoisyMeasurementError(
                f"{name}: {point.label} is {point.verdict or 'not measured'}"
                f" ({point.error or '; '.join(point.reasons)}); quiet the machine and run it again"
            )
