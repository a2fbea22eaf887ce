"""``edgegraph sweep``: latency and throughput over the batch size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, StoreOption, open_if_given, takes_job
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    check_study_file,
    print_json,
    print_rich,
    progress,
    write_study,
)
from edgegraph.cli.run import is_saved, options, resolve
from edgegraph.cli.values import a_or_an, complete_spec, parse_assignments, parse_compiler_option
from edgegraph.errors import EdgeGraphError, InputError, NoisyMeasurementError
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.studies.sweep.plan import Plan
    from edgegraph.studies.sweep.result import Sweep, SweepPoint
    from edgegraph.workload import Workload

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")

_SECONDS_BY_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


@partial(takes_job, without=("batch", "target", "stage", "trace", "trace_dir", *TIMED_TOO))
def sweep(
    job: Job,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="SPEC", help="More of them.", autocompletion=complete_spec),
    ] = None,
    batches: Annotated[
        str,
        typer.Option(help="Batch sizes: 1:256 (each twice the last), 1,2,8, or both: 1,8:64."),
    ] = "1:256",
    targets: Annotated[
        str, typer.Option(metavar="LIST", help="What to compile for: cpu,tpu:v5e,gpu:orin.")
    ] = "cpu",
    dtypes: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="One curve for each dtype: float32,bfloat16."),
    ] = None,
    options_set: Annotated[
        list[str] | None,
        typer.Option(
            "--options-set",
            metavar="NAME:KEY=VALUE,...",
            help="One more curve, compiled with these XLA options; repeatable.",
        ),
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option("--max-latency", metavar="TIME", help="Say the best batch for 10ms."),
    ] = None,
    store: StoreOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Take points by N processes of this machine, 0 for this one alone. Default: 0"
            " for one SPEC and target, else one for each core.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Take points by a Dask cluster: tcp://10.0.0.1:8786."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; do not continue an interrupted sweep.")
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help=f"Write there, by ending: {', '.join(STUDY_SUFFIXES)}; repeatable. With several"
            " sweeps every file is named by its workload and target too.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on one line for every sweep.")
    ] = False,
) -> None:
    """Measure and predict latency and throughput over the batch size, and find the knee.

    Interrupted, it keeps what is finished, and the same command continues. A batch that fails
    becomes a row with its error. What is only compiled fills all workers; what is timed has its
    machine alone.
    """
    paths = output or []
    for path in paths:
        check_study_file(path)
    budget_s = None if max_latency is None else parse_time("--max-latency", max_latency)
    if is_saved(job) and not more:
        _present(_saved(job, budget_s), paths, json)
        return
    jobs = [job, *(replace(job, spec=spec) for spec in more or ())]
    for each in jobs:
        if each.file is not None:
            raise InputError(
                f"SPEC {each.spec!r} is not package.module:attribute; a sweep compiles the workload"
                " at every batch size, so it needs the Python code"
            )
    if dask is not None and workers is not None:
        raise InputError("--dask and --workers exclude each other; leave one out")
    plans = _plans(jobs, targets, batches, dtypes, options_set or (), budget_s)
    if workers is None and len(plans) == 1:
        workers = 0
    parts: list[list[Sweep]] = [[] for _ in plans]
    try:
        _collect(plans, parts, fresh=fresh, store=store, workers=workers, dask=dask)
    except KeyboardInterrupt:
        names = "".join(f", {path}" for path in _present_all(plans, parts, paths, json))
        typer.echo(
            f"edgegraph: interrupted; kept: {sum(map(len, parts))} of {_count(plans)} points"
            f"{names}; the same command continues",
            err=True,
        )
        raise typer.Exit(130) from None
    _present_all(plans, parts, paths, json)
    for plan, own in zip(plans, parts, strict=True):
        _check(job, f"{plan.name}, {plan.target}", [point for part in own for point in part.points])


def parse_batches(text: str) -> list[int]:
    """Read batch sizes: a list of numbers and of spans, whose steps double.

    Raises:
        InputError: It is something else.

    Example:
        >>> parse_batches("1:8"), parse_batches("1,3:20"), parse_batches("100:300")
        ([1, 2, 4, 8], [1, 3, 6, 12, 20], [100, 200, 300])
    """
    batches: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise InputError(
                f"--batches {text!r}: {part.strip()!r} is neither a batch size nor a span such as"
                " 1:256"
            )
        while first < last:
            batches.append(first)
            first *= 2
        batches.append(last)
    return sorted(set(batches))


def parse_time(option: str, text: str) -> float:
    """Read a time with its unit, in seconds.

    Raises:
        InputError: It is no time above 0, or has no unit.

    Example:
        >>> parse_time("--max-latency", "10ms"), parse_time("--max-latency", "250 us")
        (0.01, 0.00025)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|us|µs)\s*", text)
    value = float(match[1]) * _SECONDS_BY_UNIT[match[2]] if match else 0.0
    if not value > 0:
        raise InputError(
            f"{option} {text!r} is not a time; expected, for example, 10ms, 250us or 0.5s"
        )
    return value


def parse_options_set(text: str) -> tuple[str, dict[str, str | int | float | bool]]:
    """Read a label and compiler options; a comma before a word without ``=`` belongs to a value.

    Raises:
        InputError: It has another form.

    Example:
        >>> parse_options_set("unfused:xla_disable_hlo_passes=fusion,cse,xla_cpu_use_x=false")
        ('unfused', {'xla_disable_hlo_passes': 'fusion,cse', 'xla_cpu_use_x': False})
    """
    name, colon, rest = text.partition(":")
    if not (name.strip() and colon and rest.strip()):
        raise InputError(
            f"--options-set {text!r} is not NAME:KEY=VALUE,..., such as"
            " unfused:xla_disable_hlo_passes=fusion"
        )
    pairs = re.split(r",(?=\s*\w+\s*=)", rest)
    values = parse_assignments("--options-set", pairs)
    return name.strip(), {key: parse_compiler_option(value) for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class Named:
    """The workload that SPEC names, made again wherever it is needed."""

    job: Job

    def __call__(self, dtype: str | None = None) -> Workload:
        """Make it."""
        return resolve(self.job, dtype=dtype)


def _plans(
    jobs: Sequence[Job],
    targets: str,
    batches: str,
    dtypes: str | None,
    options_set: Sequence[str],
    max_latency_s: float | None,
) -> tuple[Plan, ...]:
    job = jobs[0]
    sets = [parse_options_set(text) for text in options_set]
    names = [name for name, _ in sets]
    if len(set(names)) < len(names):
        raise InputError(f"--options-set has one name twice: {', '.join(names)}")
    if dtypes is not None and job.dtype is not None:
        raise InputError("give --dtype or --dtypes, not both")
    sizes = parse_batches(batches)

    from edgegraph.measure.sampling import MeasurementSettings
    from edgegraph.studies.sweep.plan import make_plans

    return make_plans(
        [Named(each) for each in jobs],
        targets=_listed(targets),
        measure=job.measure,
        batches=sizes,
        dtypes=None if dtypes is None else _listed(dtypes),
        options=options(job),
        option_sets=dict(sets),
        max_latency_s=max_latency_s,
        settings=MeasurementSettings.quick() if job.quick else None,
    )


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _count(plans: Sequence[Plan]) -> int:
    return sum(len(plan.cells) for plan in plans)


def _collect(
    plans: Sequence[Plan],
    parts: Sequence[list[Sweep]],
    *,
    fresh: bool,
    store: Path | None,
    workers: int | None,
    dask: str | None,
) -> None:
    """Take the points one by one, so that an interruption leaves those that are finished."""
    from edgegraph.studies.sweep.pool import dask_executor
    from edgegraph.studies.sweep.run import choose_run, take_all

    def say_continued(count: int) -> None:
        typer.echo(
            f"edgegraph: continuing an interrupted sweep: {count} of {_count(plans)} points are"
            " there; --fresh starts over",
            err=True,
        )

    with ExitStack() as held:
        database = held.enter_context(open_if_given(store))
        executor = None if dask is None else held.enter_context(dask_executor(dask))
        report = held.enter_context(progress())
        taken = take_all(
            plans,
            run=choose_run(executor, workers),
            fresh=fresh,
            store=database,
            on_continue=say_continued,
            progress=report,
        )
        for number, part in taken:
            parts[number].append(part)


def _present_all(
    plans: Sequence[Plan], parts: Sequence[Sequence[Sweep]], paths: Sequence[Path], json: bool
) -> list[Path]:
    """Present every sweep that has points; return the files that were written."""
    written = []
    names: Counter[str] = Counter()
    for plan, own in zip(plans, parts, strict=True):
        name = re.sub(r"[^\w.-]+", "-", f"{plan.name}_{plan.target}")
        names[name] += 1
        if names[name] > 1:
            name += f"_{names[name]}"
        if own:
            named = [p.with_stem(f"{p.stem}_{name}") for p in paths] if len(plans) > 1 else paths
            written += _present(plan.result(own), named, json)
    return written


def _saved(job: Job, max_latency_s: float | None) -> Sweep:
    """Return the saved sweep that SPEC names; a new budget may be asked of it."""
    from edgegraph.results.files import load
    from edgegraph.studies.sweep.result import Sweep

    sweep = load(job.spec)
    if not isinstance(sweep, Sweep):
        raise InputError(f"{job.spec} contains {a_or_an(type(sweep).__name__)}; expected a Sweep")
    return sweep if max_latency_s is None else replace(sweep, max_latency_s=max_latency_s)


def _present(sweep: Sweep, paths: Sequence[Path], json: bool) -> list[Path]:
    """Print the sweep and write its files; return those that were written."""
    if json:
        print_json(sweep.document)
    else:
        from edgegraph.studies.sweep.present import sweep_table

        print_rich(sweep_table(sweep))
    measured = any(point.latency is not None for point in sweep.points)
    return [
        write_study(sweep, path) for path in paths if measured or path.suffix not in FIGURE_SUFFIXES
    ]


def _check(job: Job, name: str, points: Sequence[SweepPoint]) -> None:
    """Fail where nothing was measured, and where ``--strict`` asks for more certainty."""
    errors = [point for point in points if point.error is not None]
    if len(errors) == len(points):
        first = errors[0]
        raise EdgeGraphError(f"{name}: every point failed; batch {first.batch}: {first.error}")
    for point in points if job.strict else ():
        if point.verdict != OK:
            raise NoisyMeasurementError(
                f"{name}: batch {point.batch} is {point.verdict or 'not measured'}"
                f" ({point.error or '; '.join(point.reasons)}); quiet the machine and run it again"
            )
