"""The command line, one small file for commands of a kind; importing it imports nothing heavy."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand

from edgegraph import __version__
from edgegraph.base.files import safe_csv
from edgegraph.base.quiet import quieten_plugins
from edgegraph.base.shown import shown
from edgegraph.cli import analyze, devices, diff, fit, regress, report, serve, studies, sweep
from edgegraph.cli.ending import end_now, ended, ending, interrupts_kept, own_stdout
from edgegraph.errors import INTERRUPTED

PACKAGE = Path(__file__).resolve().parent.parent

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _edgegraph(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    safe: Annotated[
        bool,
        typer.Option(
            "--safe-csv", help="In CSV files, mark as text what a spreadsheet would run: '=1+1."
        ),
    ] = False,
) -> None:
    """Where the time of a JAX model goes, layer by layer, and what would make it faster.

    Results go to stdout or a file, all else to stderr. Exit codes: 0 done, 1 a gate failed, 2 bad
    input, 3 the measurement is too noisy under --strict, 70 a bug in EdgeGraph, 130 interrupted.
    """
    safe_csv.set(safe)


class _Command(TyperCommand):
    """A command whose help names no type of Python where a SPEC or a flag says enough."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                setattr(parameter, "display_type_rich", _no_type)  # noqa: B010 # newer typers'
            elif getattr(parameter, "is_flag", False):
                parameter.metavar = ""


def _no_type(ctx: object) -> None:
    """Return what the column of types shows of an argument, which has a name for its values."""


def _help(command: object) -> str:
    """Return a docstring as typer shows it well: a line a paragraph, and brackets as they are."""
    paragraphs = (inspect.getdoc(command) or "").replace("[", r"\[").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


app.callback(help=_help(_edgegraph))(_edgegraph)
for command in (
    report.report, analyze.analyze, analyze.show, sweep.sweep, serve.serve, studies.fusion,
    studies.overlap, studies.improve, diff.history, studies.scaling, fit.fit, diff.diff, diff.check,
    regress.regress, report.plot, report.export, devices.compare_devices, devices.devices,
    devices.calibrate, analyze.models,
):  # fmt: skip
    app.command(cls=_Command, help=_help(command))(ending(command))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, this process's where None, and return the exit code; see `_edgegraph`."""
    # Programs run on this host. JAX would else start every platform that is installed, and the
    # compilers for devices that are not here complain about that at length.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    quieten_plugins()
    alone = arguments is None
    with warnings.catch_warnings(), own_stdout(for_good=alone), interrupts_kept(for_good=alone):
        plain = warnings.formatwarning
        warnings.formatwarning = _format_warning
        try:
            code = ended(partial(_typer, arguments))
        finally:
            warnings.formatwarning = plain
    if alone and code == INTERRUPTED:
        # What XLA's threads still do would crash the interpreter while it takes itself down.
        end_now(code)
    return code


def _typer(arguments: Sequence[str] | None) -> None:
    try:
        app(args=arguments, prog_name="edgegraph")
    except SystemExit as stop:  # typer's own: `ending` lets no other pass
        if isinstance(getattr(stop.__context__, "__cause__", None), KeyboardInterrupt):
            raise KeyboardInterrupt from None  # before the command began, and nothing was said
        raise typer.Exit(stop.code if isinstance(stop.code, int) else 0) from None


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return the text of a warning: one plain line for EdgeGraph's own, Python's for all others."""
    if Path(filename).is_relative_to(PACKAGE):
        return f"edgegraph: warning: {shown(str(message))}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"
