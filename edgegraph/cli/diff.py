"""``edgegraph diff``, ``check`` and ``history``: what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegraph.base.files import check_writable
from edgegraph.cli import run
from edgegraph.cli.completion import complete_spec
from edgegraph.cli.job import (
    TIMED_TOO,
    Job,
    JsonObject,
    Markdown,
    StoreOption,
    grouped_options,
)
from edgegraph.cli.output import (
    FIGURE_SUFFIXES,
    check_files,
    files_option,
    print_form,
    print_json,
    print_lines,
    print_rich,
    print_text,
    progress,
    write_result,
)
from edgegraph.cli.run import SAVED_SUFFIX, analyses, check_noise, jobs, resolve, runs_here
from edgegraph.doors.registry import Given, find_door
from edgegraph.errors import InputError, NoisyMeasurementError

if TYPE_CHECKING:
    from edgegraph.gate.gate import GateResult
    from edgegraph.store import Store

DIFF_SUFFIXES = (".html", ".md", ".csv", SAVED_SUFFIX)


@grouped_options(without=TIMED_TOO)
def diff(
    job: Job,
    after: Annotated[
        str, typer.Argument(metavar="SPEC", help="Another one.", autocompletion=complete_spec)
    ],
    output: Annotated[list[Path] | None, files_option(DIFF_SUFFIXES)] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also show what did not change, and every changed op.")
    ] = False,
    json: JsonObject = False,
    markdown: Markdown = False,
) -> None:
    """Show what changed: ops, layers, and the whole; times only beyond their noise.

    Names do not matter. The two may differ in batch, dtype, versions, options, target or model.
    Options hold for both where they are Python code.
    """
    check_files(output or (), DIFF_SUFFIXES)
    _check_one_form(json=json, markdown=markdown)
    job.check_one_batch("two programs are compared")
    from edgegraph.compare.diff import diff as compare
    from edgegraph.compare.present import diff_table, write_diff_page

    find_door(Given(after))  # before the first takes its time
    left, right = (analysis for each in jobs(job, after) for analysis in analyses(each))
    found = compare(left, right)
    table = partial(diff_table, found, everything=everything)
    print_form(found, table, json=json, markdown=markdown)
    for path in output or ():
        write_result(found, path, write_page=partial(write_diff_page, found, left, right))
    check_noise(job, [left, right])


def _check_one_form(*, json: bool, markdown: bool) -> None:
    if json and markdown:
        raise InputError("--json and --markdown exclude each other; leave one out")


def _limit(help: str) -> Any:
    return typer.Option(metavar="LIMIT", help=help)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that figures may come to; an option for each of `edgegraph.gate.limits.METRICS`."""

    max_flops: Annotated[str | None, _limit("+1%, 10GFLOP")] = None
    max_macs: Annotated[str | None, _limit("+1%, 5GMAC")] = None
    max_bytes: Annotated[str | None, _limit("Read and written: +2%, 100MB")] = None
    max_peak_memory: Annotated[str | None, _limit("64MiB, +1MiB, +5%")] = None
    max_temp_memory: Annotated[str | None, _limit("16MiB")] = None
    max_params: Annotated[str | None, _limit("+0, 5M")] = None
    max_param_bytes: Annotated[str | None, _limit("20MB")] = None
    max_ops: Annotated[str | None, _limit("+10")] = None
    max_kernels: Annotated[str | None, _limit("+0, 120")] = None
    max_wire_bytes: Annotated[str | None, _limit("Sent to other devices: +0")] = None
    max_latency: Annotated[str | None, _limit("+5%, 3ms; times it, where it can run.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherVersions:
    """The versions whose programs are checked."""

    jax: Annotated[
        str | None,
        typer.Option(
            metavar="V,V,...",
            help="Check what these versions of jax make of it, as edgegraph regress does; without"
            " a baseline against the oldest of them.",
        ),
    ] = None


@grouped_options(without=TIMED_TOO)
def check(
    job: Job,
    baseline: Annotated[
        Path | None, typer.Option(help="A saved analysis that limits of growth refer to.")
    ] = None,
    *,
    given: Limits,
    others: OtherVersions,
    update: Annotated[
        bool, typer.Option("--update", help="Write the baseline instead of checking.")
    ] = False,
    json: JsonObject = False,
    markdown: Markdown = False,
) -> None:
    """Fail (exit code 1) where a program grew beyond its limits, and name the layers.

    Limits can be set in [tool.edgegraph] of pyproject.toml. Counts are exact; a latency fails only
    beyond its noise. Without limits: FLOPs +1%, bytes +2%, peak memory +5%.
    """
    _check_one_form(json=json, markdown=markdown)
    job.check_one_batch("limits are of one program")
    from edgegraph.gate.gate import check as hold
    from edgegraph.gate.gate import gate_table
    from edgegraph.gate.limits import parse_limit, read_settings

    project = read_settings(Path.cwd())
    limits = {**project.limits, **{name: text for name, text in asdict(given).items() if text}}
    for name, text in limits.items():
        parse_limit(name.removeprefix("max_"), text)
    baseline = baseline or project.baseline
    job = _timed(job, timed="max_latency" in limits)
    if update:
        _update(job, baseline)
        return
    if baseline is not None and not baseline.is_file():
        raise InputError(f"no baseline at {baseline}; make it with --update")
    if others.jax is not None:
        results = _check_versions(job, others.jax, baseline, limits, json=json, markdown=markdown)
    else:
        (analysis,) = analyses(job)
        results = [hold(analysis, baseline=baseline, **limits)]
        print_form(results[0], partial(gate_table, results[0]), json=json, markdown=markdown)
    _end(job, results)


def _check_versions(
    job: Job,
    jax: str,
    baseline: Path | None,
    limits: Mapping[str, str],
    *,
    json: bool,
    markdown: bool,
) -> list[GateResult]:
    """Hold a program under other versions of jax against its limits, and print what was found."""
    from edgegraph.gate.gate import gate_table
    from edgegraph.studies.regress.gate import check_versions
    from edgegraph.studies.regress.run import FEWEST_PROCESSES, PROCESSES

    if job.target not in (None, "cpu"):
        raise InputError(f"--jax and --target {job.target} exclude each other; leave one out")
    with progress() as report:
        found = check_versions(
            job.spec,
            jax=jax,
            args=job.args,
            batch=job.batches[0],
            options=run.options(job),
            choices=run.choices(job),
            baseline=baseline,
            limits=limits,
            processes=FEWEST_PROCESSES if job.quick else PROCESSES,
            progress=report,
        )
    if json:
        print_json([{"jax": version, **result.document} for version, result in found])
    for version, result in () if json else found:
        print_text(f"**jax {version}**\n\n") if markdown else print_lines(f"jax {version}")
        print_form(result, partial(gate_table, result), json=False, markdown=markdown)
    return [result for _, result in found]


def _end(job: Job, results: Sequence[GateResult]) -> None:
    """End with 1 where a limit was broken, with 3 where one is undecided and that is asked for."""
    if not all(result.passed for result in results):
        raise typer.Exit(1)
    undecided = [check for result in results for check in result.undecided]
    if job.strict and undecided:
        first = undecided[0]
        raise NoisyMeasurementError(
            f"the limit {first.limit} of {first.metric} is undecided: {first.reason}"
        )


def _timed(job: Job, *, timed: bool) -> Job:
    """Time the program only where a limit asks for that, and it can run here."""
    if not find_door(Given(job.spec)).compiled:
        return job
    measure = timed and runs_here(job) if job.measure is None else job.measure
    untraced = measure and job.trace is None and job.trace_dir is None
    return replace(job, measure=measure, trace=False if untraced else job.trace)


def _update(job: Job, baseline: Path | None) -> None:
    if baseline is None:
        raise InputError("--update writes the baseline; name its file with --baseline")
    check_writable(baseline)
    (analysis,) = analyses(job)
    print_lines(f"Baseline: {analysis.save(baseline)}")


FRAME_SUFFIXES = (".csv", ".parquet")
HISTORY_SUFFIXES = (*FRAME_SUFFIXES, *FIGURE_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Which figure to follow, and of which runs."""

    metric: Annotated[
        str, typer.Option(help="latency_s, throughput_per_s, flops, bytes, peak_memory_bytes, ...")
    ] = "latency_s"
    batch: Annotated[
        int | None, typer.Option("--batch", "-b", help="Only runs at this batch size.")
    ] = None
    dtype: Annotated[
        str | None, typer.Option(help="Only runs in this dtype, as a sweep names it.")
    ] = None
    target: Annotated[str | None, typer.Option(help="Only runs for this target.")] = None


@grouped_options()
def history(
    workload: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPEC|NAME]",
            help="A workload: package.module:attribute, or the name that it has in tables."
            " Without one: what the database holds.",
            autocompletion=complete_spec,
        ),
    ] = None,
    store: StoreOption = None,
    *,
    followed: Followed,
    output: Annotated[list[Path] | None, files_option(HISTORY_SUFFIXES)] = None,
    json: JsonObject = False,
) -> None:
    """Follow a figure over time: run by run, with its change since the last comparable run.

    Runs are comparable that share batch, dtype, target, compiler options and machine. Without a
    workload, list those that have runs; -o runs.parquet then writes all runs.
    """
    check_files(output or (), FRAME_SUFFIXES if workload is None else HISTORY_SUFFIXES)
    if store is None:
        raise InputError("name the run database: --store runs.db, or set EDGEGRAPH_STORE")
    from edgegraph.store import open_store
    from edgegraph.store.present import history_table

    with open_store(store, create=False) as database:
        if workload is None:
            _print_all(database, output or (), json=json)
            return
        if ":" in workload and workload not in database.workloads:
            workload = resolve(Job(spec=workload)).name
        found = database.history(workload, **asdict(followed))
    if json:
        print_json(found.document)
    else:
        print_rich(history_table(found))
    for path in output or ():
        write_result(found, path)


def _print_all(database: Store, paths: Sequence[Path], *, json: bool) -> None:
    """List the workloads that there are, and write all runs."""
    from edgegraph.reporting.exports import write_frame
    from edgegraph.store.present import workloads_table

    if json:
        print_json({"path": str(database.path), "runs": database.find()})
    else:
        print_rich(workloads_table(database.frame))
    for path in paths:
        write_frame(database.frame, path, parquet=path.suffix == ".parquet")
