"""``edgegraph diff``, ``check`` and ``history``: what changed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, StoreOption, takes_job
from edgegraph.cli.output import check_writable, print_json, print_rich
from edgegraph.cli.run import SAVED_SUFFIX, analyses
from edgegraph.cli.values import complete_spec
from edgegraph.errors import InputError, NoisyMeasurementError

if TYPE_CHECKING:
    import pandas as pd

    from edgegraph.gate.gate import GateResult
    from edgegraph.results.analysis import Analysis
    from edgegraph.store import Store
    from edgegraph.store.history import History


SUFFIXES = (".html", ".md", ".csv", SAVED_SUFFIX)


def diff(
    before: Annotated[str, typer.Argument(help="A saved analysis, or an HLO file.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", help=f"Write there, by ending: {', '.join(SUFFIXES)}; repeatable."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show what is the same too, and every change of ops.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
) -> None:
    """Show what changed: ops, layers, and the whole; times only beyond their noise.

    Names do not count. The two may differ in batch, dtype, versions, options, target or model.
    """
    paths = output or []
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise InputError(f"-o {path}: choose a name that ends in {', '.join(SUFFIXES)}")
        check_writable(path)
    if json and markdown:
        raise InputError("--json and --markdown exclude each other; leave one out")
    from edgegraph.compare.diff import diff as compare

    left, right = read_analysis(before), read_analysis(after)
    found = compare(left, right)
    if json:
        print_json(found.document)
    elif markdown:
        typer.echo(found.to_markdown(), nl=False)
    else:
        from edgegraph.compare.present import diff_table

        print_rich(diff_table(found, everything=everything))
    for path in paths:
        if path.suffix == ".html":
            from edgegraph.compare.page import write_diff_page

            write_diff_page(found, left, right, path)
        elif path.suffix == SAVED_SUFFIX:
            found.save(path)
        else:
            from edgegraph.base.files import replacing

            with replacing(path) as temporary:
                if path.suffix == ".md":
                    temporary.write_text(found.to_markdown(), "utf-8")
                else:
                    found.frame.to_csv(temporary, index=False)


def read_analysis(name: str) -> Analysis:
    """Read a saved analysis, or analyse an HLO file.

    Raises:
        InputError: There is no such file.
        FormatError: It holds something else.
    """
    from edgegraph.cli.job import Job
    from edgegraph.cli.run import analyses

    job = Job(spec=name)
    if job.file is None:
        raise InputError(
            f"{name!r} is not a file; save an analysis first: edgegraph analyze {name} -o"
            f" before{SAVED_SUFFIX}"
        )
    (analysis,) = analyses(job)
    return analysis


@partial(takes_job, without=TIMED_TOO)
def check(
    job: Job,
    baseline: Annotated[
        Path | None, typer.Option(help="A saved analysis that limits of growth refer to.")
    ] = None,
    max_flops: Annotated[str | None, typer.Option(metavar="LIMIT", help="+1%, 10GFLOP")] = None,
    max_macs: Annotated[str | None, typer.Option(metavar="LIMIT", help="+1%, 5GMAC")] = None,
    max_bytes: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Read and written: +2%, 100MB")
    ] = None,
    max_peak_memory: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="64MiB, +1MiB, +5%")
    ] = None,
    max_temp_memory: Annotated[str | None, typer.Option(metavar="LIMIT", help="16MiB")] = None,
    max_params: Annotated[str | None, typer.Option(metavar="LIMIT", help="+0, 5M")] = None,
    max_param_bytes: Annotated[str | None, typer.Option(metavar="LIMIT", help="20MB")] = None,
    max_ops: Annotated[str | None, typer.Option(metavar="LIMIT", help="+10")] = None,
    max_kernels: Annotated[str | None, typer.Option(metavar="LIMIT", help="+0, 120")] = None,
    max_wire_bytes: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Sent to other devices: +0")
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="+5%, 3ms; times it, where it can run.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the baseline instead of checking.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
) -> None:
    """Fail (exit code 1) where a program grew beyond its limits, and name the layers.

    Limits may stand in [tool.edgegraph] of pyproject.toml. Counts are exact; a latency fails only
    beyond its noise. Without limits: FLOPs +1%, bytes +2%, peak memory +5%.
    """
    given = {
        "max_flops": max_flops, "max_macs": max_macs, "max_bytes": max_bytes,
        "max_peak_memory": max_peak_memory, "max_temp_memory": max_temp_memory,
        "max_params": max_params, "max_param_bytes": max_param_bytes, "max_ops": max_ops,
        "max_kernels": max_kernels, "max_wire_bytes": max_wire_bytes, "max_latency": max_latency,
    }  # fmt: skip
    if json and markdown:
        raise InputError("--json and --markdown exclude each other; leave one out")
    if len(set(job.batch or ())) > 1:
        raise InputError("limits are of one program; give one --batch")
    from edgegraph.gate.limits import parse_limit, read_settings

    settings = read_settings(Path.cwd())
    limits = dict(settings.limits) | {name: text for name, text in given.items() if text}
    for name, text in limits.items():
        parse_limit(name.removeprefix("max_"), text)
    baseline = baseline or settings.baseline
    if update:
        _update(job, baseline, timed="max_latency" in limits)
        return
    if baseline is not None and not baseline.is_file():
        raise InputError(f"no baseline at {baseline}; make it with --update")
    from edgegraph.gate.gate import check as hold

    (analysis,) = analyses(_timed(job, timed="max_latency" in limits))
    result = hold(analysis, baseline=baseline, **limits)
    _show(result, json=json, markdown=markdown)
    if not result.passed:
        raise typer.Exit(1)
    if job.strict and result.undecided:
        first = result.undecided[0]
        raise NoisyMeasurementError(
            f"the limit {first.limit} of {first.metric} is undecided: {first.reason}"
        )


def _timed(job: Job, *, timed: bool) -> Job:
    """Time the program only where a limit asks for that, and it can run here."""
    if job.file is not None:
        return job
    runs_here = job.target in (None, "cpu") and job.stage in (None, "optimized")
    measure = timed and runs_here if job.measure is None else job.measure
    trace = job.trace if job.trace is not None or job.trace_dir is not None else None
    return replace(job, measure=measure, trace=False if trace is None and measure else trace)


def _update(job: Job, baseline: Path | None, *, timed: bool) -> None:
    if baseline is None:
        raise InputError("--update writes the baseline; name its file with --baseline")
    check_writable(baseline)
    (analysis,) = analyses(_timed(job, timed=timed))
    typer.echo(f"Baseline: {analysis.save(baseline)}")


def _show(result: GateResult, *, json: bool, markdown: bool) -> None:
    if json:
        print_json(result.document)
    elif markdown:
        typer.echo(result.to_markdown(), nl=False)
    else:
        from edgegraph.gate.present import gate_table

        print_rich(gate_table(result))


FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
TABLE_SUFFIXES = (".csv", ".parquet", *FIGURE_SUFFIXES)


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
    metric: Annotated[
        str,
        typer.Option(help="latency_s, throughput_per_s, flops, bytes, peak_memory_bytes, ..."),
    ] = "latency_s",
    batch: Annotated[int | None, typer.Option("--batch", "-b", help="Of this batch only.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of this dtype only, as a sweep names it.")] = (
        None
    ),
    target: Annotated[str | None, typer.Option(help="Of this target only.")] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help=f"Write there, by ending: {', '.join(TABLE_SUFFIXES)}; repeatable.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Follow a figure over time: run by run, with its change since the last that compares.

    Runs compare that are of one batch, dtype, target, set of compiler options, and machine.
    Without a workload: which ones there are; -o runs.parquet then writes all runs.
    """
    paths = output or []
    for path in paths:
        if path.suffix not in TABLE_SUFFIXES or (
            workload is None and path.suffix in FIGURE_SUFFIXES
        ):
            known = TABLE_SUFFIXES if workload is not None else TABLE_SUFFIXES[:2]
            raise InputError(f"-o {path}: choose a name that ends in {', '.join(known)}")
        check_writable(path)
    if store is None:
        raise InputError("name the run database: --store runs.db, or set EDGEGRAPH_STORE")
    from edgegraph.store import open_store

    with open_store(store, create=False) as database:
        if workload is None:
            _whole(database, paths, json)
            return
        where = {"batch": batch, "dtype": dtype, "target": target}
        found = database.history(_name(database, workload), metric, **where)
    if json:
        print_json(found.document)
    else:
        from edgegraph.store.present import history_table

        print_rich(history_table(found))
    for path in paths:
        _write(found, path)


def _name(database: Store, workload: str) -> str:
    """Return the name of what a SPEC names; a name stays as it is."""
    if ":" not in workload or workload in database.workloads:
        return workload
    from edgegraph.cli.job import Job
    from edgegraph.cli.run import resolve

    return resolve(Job(spec=workload)).name


def _whole(database: Store, paths: list[Path], json: bool) -> None:
    """List the workloads that there are, and write all runs."""
    if json:
        print_json({"path": str(database.path), "runs": database.find()})
    else:
        from edgegraph.store.present import workloads_table

        print_rich(workloads_table(database.frame))
    for path in paths:
        _write_frame(database.frame, path)


def _write(found: History, path: Path) -> None:
    if path.suffix not in FIGURE_SUFFIXES:
        _write_frame(found.frame, path)
        return
    from edgegraph.reporting.figure import save_figure

    save_figure(found.plot(), path)


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    from edgegraph.base.files import replacing

    with replacing(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False)
            return
        try:
            frame.to_parquet(temporary, index=False)
        except ImportError as error:
            raise InputError(
                f"writing {path} needs pyarrow, which this Python does not have; run pip install"
                " 'edgegraph[parquet]'"
            ) from error
