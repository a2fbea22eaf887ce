"""The commands put together; importing this imports neither jax, pandas nor matplotlib."""

from __future__ import annotations

from typing import Annotated

import typer

from edgegraph import __version__
from edgegraph.cli import analyze, devices, diff, report, studies, sweep
from edgegraph.cli import analyze as models
from edgegraph.cli import analyze as show
from edgegraph.cli import devices as calibrate
from edgegraph.cli import devices as compare_devices
from edgegraph.cli import diff as check
from edgegraph.cli import diff as history
from edgegraph.cli import report as export
from edgegraph.cli import report as plot

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("report")(report.report)
app.command("analyze")(analyze.analyze)
app.command("show")(show.show)
app.command("sweep")(sweep.sweep)
app.command("fusion")(studies.fusion)
app.command("overlap")(studies.overlap)
app.command("history")(history.history)
app.command("scaling")(studies.scaling)
app.command("diff")(diff.diff)
app.command("check")(check.check)
app.command("plot")(plot.plot)
app.command("export")(export.export)
app.command("compare-devices")(compare_devices.compare_devices)
app.command("devices")(devices.devices)
app.command("calibrate")(calibrate.calibrate)
app.command("models")(models.models)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def edgegraph(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Where the time of a JAX model goes, layer by layer, and what would make it faster.

    Results go to stdout or a file, progress to stderr. Exit codes: 0 done, 1 a gate failed, 2 bad
    input, 3 the measurement is too noisy under --strict.
    """
