"""``edgegraph check``: a gate for continuous integration."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.job import TIMED_TOO, Job, takes_job
from edgegraph.cli.output import check_writable, print_json, print_rich
from edgegraph.cli.run import analyses
from edgegraph.errors import InputError, NoisyMeasurementError

if TYPE_CHECKING:
    from edgegraph.results.gate import GateResult


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
    from edgegraph.gate.limits import parse_limit
    from edgegraph.gate.settings import read_settings

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
    from edgegraph.gate.check import check as hold

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
        from edgegraph.report.gate_table import gate_table

        print_rich(gate_table(result))
