"""The options that commands share, and the run database they keep results in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from edgegraph.cli.values import complete_spec

if TYPE_CHECKING:
    from edgegraph.store import Store


TIMED_TOO = ("depth", "throughput", "cold", "cores")
"""Fields that say what an analysis times besides the whole; they mean nothing to a study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to analyse and how, as asked for on the command line."""

    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="What to analyse: package.module:attribute (a function returning a Workload, a"
            " Workload, or a Flax module with --input), an HLO file, or a saved .edgegraph file.",
            autocompletion=complete_spec,
        ),
    ]
    batch: Annotated[
        list[int] | None,
        typer.Option("--batch", "-b", help="Batch size; repeat for several. Default: 1."),
    ] = None
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="SHAPE", help="Input of a bare Flax module without batch: 28x28x1."
        ),
    ] = None
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="dtype of the network: float32, bfloat16.")
    ] = None
    arguments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Argument of a function SPEC; repeatable."),
    ] = None
    compiler_options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="XLA compiler option; repeatable."),
    ] = None
    target: Annotated[str | None, typer.Option(help="What to compile for. Default: cpu.")] = None
    stage: Annotated[
        str | None,
        typer.Option(
            help="optimized: what XLA runs (default). lowered: counts only, nothing compiled."
        ),
    ] = None
    measure: Annotated[
        bool | None,
        typer.Option("--measure/--no-measure", help="Time it. Default: where it can run here."),
    ] = None
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure briefly: good for a first look, less certain.")
    ] = False
    depth: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Time layers in one piece with all below them: 1 the model's children, 2 theirs;"
            " leaves: every scope alone (default); all: each of these. Repeatable.",
        ),
    ] = None
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Time it pipelined too: 1 to 32 calls in flight.")
    ] = False
    cold: Annotated[bool, typer.Option("--cold", help="Time it with cold caches too.")] = False
    cores: Annotated[
        int | None,
        typer.Option(metavar="N", help="Time it on N cores too, compiled for them."),
    ] = None
    trace: Annotated[
        bool | None,
        typer.Option(
            "--trace/--no-trace",
            help="Measure every op inside the running program. Default: when timing.",
        ),
    ] = None
    trace_dir: Annotated[
        Path | None,
        typer.Option(
            "--trace-dir",
            metavar="FOLDER",
            help="Keep the profile there too, as a log folder for XProf and TensorBoard.",
        ),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 when the measurement is too noisy.")
    ] = False

    @property
    def file(self) -> Path | None:
        """The file that SPEC names, or None where it names Python code."""
        path = Path(self.spec)
        return path if ":" not in self.spec or path.exists() else None


def takes_job(
    command: Callable[..., None], *, without: Collection[str] = (), spec: Any = None
) -> Callable[..., None]:
    """Return `command`, whose first parameter is a `Job`, with the job's fields as options.

    Args:
        command: The command.
        without: Fields that mean nothing to it; they keep their defaults.
        spec: What the first argument is, where that is not the job's own SPEC.
    """

    def with_options(**values: Any) -> None:
        own = {name: values.pop(name) for name in names[1:]}
        command(Job(**values), **own)

    parameters = list(inspect.signature(command).parameters.values())
    names = [parameter.name for parameter in parameters]
    hints = get_type_hints(command, include_extras=True)
    job_hints = get_type_hints(Job, include_extras=True)
    if spec is not None:
        job_hints["spec"] = spec
    signature = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.name == "spec" else field.default,
            annotation=job_hints[field.name],
        )
        for field in fields(Job)
        if field.name not in without
    ] + [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in parameters[1:]
    ]
    with_options.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in signature}
    with_options.__doc__ = command.__doc__
    return with_options


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="EDGEGRAPH_STORE",
        metavar="PATH",
        help="Keep the results in this run database, such as runs.db.",
    ),
]


@contextmanager
def open_if_given(path: Path | None) -> Iterator[Store | None]:
    """Open the run database before any work, so that it fails early; None where none is named."""
    if path is None:
        yield None
        return
    from edgegraph.store import open_store

    with open_store(path) as store:
        yield store


@contextmanager
def saving_to(path: Path | None) -> Iterator[Callable[[Any], None]]:
    """Provide a function that saves a result to the run database; without one, it does nothing."""
    with open_if_given(path) as store:

        def keep(result: Any) -> None:
            if store is not None:
                numbers = store.put(result)
                names = ", ".join(f"{path}#{number}" for number in numbers)
                typer.echo(f"edgegraph: kept as {names}", err=True)

        yield keep
