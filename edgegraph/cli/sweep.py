"""``edgegraph sweep``: latency and throughput over the batch size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, takes_job
from edgegraph.cli.output import check_writable, print_json, print_rich
from edgegraph.cli.progress import progress
from edgegraph.cli.run import SAVED_SUFFIX, is_saved, options, resolve
from edgegraph.cli.values import parse_assignments, parse_compiler_option
from edgegraph.errors import EdgeGraphError, InputError, NoisyMeasurementError

if TYPE_CHECKING:
    from edgegraph.results.sweep import Sweep, SweepPoint
    from edgegraph.study.sweep import Plan

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
SUFFIXES = (SAVED_SUFFIX, ".csv", *FIGURE_SUFFIXES)

_SECONDS_BY_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


@partial(takes_job, without=("batch", "target", "stage", "measure", *TIMED_TOO))
def sweep(
    job: Job,
    batches: Annotated[
        str,
        typer.Option(help="Batch sizes: 1:256 (each twice the last), 1,2,8, or both: 1,8:64."),
    ] = "1:256",
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
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; do not continue an interrupted sweep.")
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", help=f"Write there, by ending: {', '.join(SUFFIXES)}; repeatable."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure and predict latency and throughput over the batch size, and find the knee.

    Interrupted, it keeps what is finished, and the same command continues. A batch that fails
    becomes a row with its error.
    """
    paths = output or []
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise InputError(f"-o {path}: choose a name that ends in {', '.join(SUFFIXES)}")
        check_writable(path)
    budget_s = None if max_latency is None else parse_time("--max-latency", max_latency)
    if is_saved(job):
        _present(_saved(job, budget_s), paths, json)
        return
    if job.file is not None:
        raise InputError(
            f"SPEC {job.spec!r} is no package.module:attribute; a sweep compiles the workload at"
            " every batch size, so it needs the Python code"
        )
    plan = _plan(job, batches, dtypes, options_set or (), budget_s)
    points: list[SweepPoint] = []
    try:
        _collect(plan, fresh, points)
    except KeyboardInterrupt:
        kept = _present(plan.result(points), paths, json) if points else []
        names = "".join(f", {path}" for path in kept)
        typer.echo(
            f"edgegraph: interrupted; kept: {len(points)} of {len(plan.cells)} points{names};"
            " the same command continues",
            err=True,
        )
        raise typer.Exit(130) from None
    _present(plan.result(points), paths, json)
    _check(job, points)


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
        raise InputError(f"{option} {text!r} is no time; write 10ms, 250us or 0.5s")
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


def _plan(
    job: Job,
    batches: str,
    dtypes: str | None,
    options_set: Sequence[str],
    max_latency_s: float | None,
) -> Plan:
    sets = [parse_options_set(text) for text in options_set]
    names = [name for name, _ in sets]
    if len(set(names)) < len(names):
        raise InputError(f"--options-set has one name twice: {', '.join(names)}")
    if dtypes is not None and job.dtype is not None:
        raise InputError("give --dtype or --dtypes, not both")
    sizes = parse_batches(batches)

    from edgegraph.measure.sampling import Settings
    from edgegraph.study.sweep import make_plan

    several = None if dtypes is None else [part.strip() for part in dtypes.split(",")]
    return make_plan(
        resolve(job) if several is None else lambda dtype: resolve(job, dtype=dtype),
        batches=sizes,
        dtypes=several,
        options=options(job),
        option_sets=dict(sets),
        max_latency_s=max_latency_s,
        settings=Settings.quick() if job.quick else None,
    )


def _collect(plan: Plan, fresh: bool, points: list[SweepPoint]) -> None:
    """Take the points one by one, so that an interruption leaves those that are finished."""
    from edgegraph.study.sweep import take_points

    def say_continued(count: int) -> None:
        typer.echo(
            f"edgegraph: continuing an interrupted sweep: {count} of {len(plan.cells)} points are"
            " there; --fresh starts over",
            err=True,
        )

    with progress() as report:
        for point in take_points(plan, fresh=fresh, on_continue=say_continued, progress=report):
            points.append(point)  # noqa: PERF402


def _saved(job: Job, max_latency_s: float | None) -> Sweep:
    """Give the saved sweep that SPEC names; a budget may be asked of it anew."""
    from dataclasses import replace

    from edgegraph.results.files import load
    from edgegraph.results.sweep import Sweep

    sweep = load(job.spec)
    if not isinstance(sweep, Sweep):
        raise InputError(f"{job.spec} holds no sweep but {type(sweep).__name__}")
    return sweep if max_latency_s is None else replace(sweep, max_latency_s=max_latency_s)


def _present(sweep: Sweep, paths: Sequence[Path], json: bool) -> list[Path]:
    """Print the sweep and write its files; give those that were written."""
    if json:
        print_json(sweep.document)
    else:
        from edgegraph.report.sweep_table import sweep_table

        print_rich(sweep_table(sweep))
    measured = any(point.latency is not None for point in sweep.points)
    return [_write(sweep, path) for path in paths if measured or path.suffix not in FIGURE_SUFFIXES]


def _write(sweep: Sweep, path: Path) -> Path:
    if path.suffix == SAVED_SUFFIX:
        return sweep.save(path)
    if path.suffix in FIGURE_SUFFIXES:
        from edgegraph.report.plots import save_figure

        return save_figure(sweep.plot()[0], path)
    from edgegraph.atomic import replacing

    with replacing(path) as temporary:
        sweep.frame.to_csv(temporary, index=False)
    return path


def _check(job: Job, points: Sequence[SweepPoint]) -> None:
    """Fail where nothing was measured, and where ``--strict`` asks for more certainty."""
    errors = [point for point in points if point.error is not None]
    if len(errors) == len(points):
        raise EdgeGraphError(f"every point failed; batch {errors[0].batch}: {errors[0].error}")
    for point in points if job.strict else ():
        if point.verdict != "OK":
            raise NoisyMeasurementError(
                f"batch {point.batch} is {point.verdict or 'not measured'}"
                f" ({point.error or '; '.join(point.reasons)}); quiet the machine and run it again"
            )
