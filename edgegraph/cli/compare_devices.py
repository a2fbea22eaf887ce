"""``edgegraph compare-devices``: the same program on several devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgegraph.cli.complete import complete_spec
from edgegraph.cli.job import Job, takes_job
from edgegraph.cli.output import (
    StudyFiles,
    check_study_file,
    print_json,
    print_rich,
    write_study,
)
from edgegraph.cli.progress import progress
from edgegraph.cli.run import resolve
from edgegraph.cli.store import StoreOption, saving_to
from edgegraph.cli.sweep import parse_batches
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.results.device_comparison import DeviceComparison, DeviceRow

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


@partial(takes_job, without=("batch", "target", "stage", "depth", "compiler_options"))
def compare_devices(
    job: Job,
    *,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC",
            help="Other workloads to hold against it on the same devices.",
            autocompletion=complete_spec,
        ),
    ] = None,
    devices: Annotated[
        str,
        typer.Option(metavar="LIST", help="What to compare: cpu,tpu:v5e,gpu:orin,device:rpi5."),
    ],
    batch: Annotated[str, typer.Option("--batch", "-b", help="Batch sizes: 1,8,64 or 1:64.")] = "1",
    output: StudyFiles = None,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hold devices against each other: time, bound, use of the peak, memory, throughput.

    What a TPU or GPU would run is compiled ahead of time; with --measure, cpu is measured.
    """
    paths = output or []
    for path in paths:
        check_study_file(path)
    jobs = [job, *(replace(job, spec=spec) for spec in more or ())]
    for each in jobs:
        if each.file is not None:
            raise InputError(
                f"SPEC {each.spec!r} is not package.module:attribute; it is compiled for every"
                " device, which needs the Python code"
            )
    from edgegraph.measure.sampling import MeasurementSettings
    from edgegraph.study.compare_devices import comparison, device_rows

    if job.measure:
        from edgegraph.measure.executable import prefer_synchronous_dispatch

        prefer_synchronous_dispatch()
    rows: list[DeviceRow] = []
    with saving_to(store) as keep:
        try:
            with progress() as report:
                for row in device_rows(
                    [resolve(each) for each in jobs],
                    devices=[name.strip() for name in devices.split(",")],
                    batches=parse_batches(batch),
                    measure=bool(job.measure),
                    settings=MeasurementSettings.quick() if job.quick else None,
                    progress=report,
                ):
                    rows.append(row)  # noqa: PERF402
        except KeyboardInterrupt:
            kept = _present(comparison(rows), paths, json) if rows else []
            if rows:
                keep(comparison(rows))
            names = "".join(f", {path}" for path in kept)
            typer.echo(f"edgegraph: interrupted; kept: {len(rows)} finished rows{names}", err=True)
            raise typer.Exit(130) from None
        keep(comparison(rows))
    _present(comparison(rows), paths, json)
    errors = [row for row in rows if row.error is not None]
    if len(errors) == len(rows):
        raise EdgeGraphError(f"no device has figures; {errors[0].device}: {errors[0].error}")


def _present(comparison: DeviceComparison, paths: Sequence[Path], json: bool) -> list[Path]:
    """Print the comparison and write its files; return those that were written."""
    if json:
        print_json(comparison.document)
    else:
        from edgegraph.report.device_table import comparison_table

        print_rich(comparison_table(comparison))
    timed = any(row.low_s for row in comparison.rows)
    written = [path for path in paths if timed or path.suffix not in FIGURE_SUFFIXES]
    return [write_study(comparison, path) for path in written]
