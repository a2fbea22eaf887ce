"""``edgegraph history``: a figure over time, from the run database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli.complete import complete_spec
from edgegraph.cli.output import check_writable, print_json, print_rich
from edgegraph.cli.store import StoreOption
from edgegraph.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from edgegraph.results.history import History
    from edgegraph.store import Store

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
SUFFIXES = (".csv", ".parquet", *FIGURE_SUFFIXES)


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
            "--output", "-o", help=f"Write there, by ending: {', '.join(SUFFIXES)}; repeatable."
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
        if path.suffix not in SUFFIXES or (workload is None and path.suffix in FIGURE_SUFFIXES):
            known = SUFFIXES if workload is not None else SUFFIXES[:2]
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
        from edgegraph.report.history_table import history_table

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
        from edgegraph.report.history_table import workloads_table

        print_rich(workloads_table(database.frame))
    for path in paths:
        _write_frame(database.frame, path)


def _write(found: History, path: Path) -> None:
    if path.suffix not in FIGURE_SUFFIXES:
        _write_frame(found.frame, path)
        return
    from edgegraph.report.figure import save_figure

    save_figure(found.plot(), path)


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    from edgegraph.atomic import replacing

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
