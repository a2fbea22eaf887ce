"""The options that commands share, and the run database they keep results in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from edgegraph.cli.values import complete_spec
from edgegraph.errors import InputError

if TYPE_CHECKING:
    from edgegraph.store import Store


TIMED_TOO = ("depth", "throughput", "cold", "cores")
"""Fields that say what an analysis times besides the whole; they mean nothing to a gate."""

ANALYSIS_ONLY = (*TIMED_TOO, "trace", "trace_dir")
"""Fields that mean nothing to a study."""


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
            help="Time each layer together with all below it: 1: the model's children, 2: theirs;"
            " leaves: every scope by itself (default); all: each of these. Repeatable.",
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

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes, each once; 1 where none is given.

        Raises:
            InputError: One is below 1.
        """
        for batch in self.batch or ():
            if batch < 1:
                raise InputError(f"--batch must be a positive integer, not {batch}")
        return tuple(dict.fromkeys(self.batch or (1,)))

    def check_one_batch(self, reason: str) -> None:
        """Refuse several batch sizes, for the reason given."""
        if len(self.batches) > 1:
            raise InputError(f"{reason}; give one --batch")


def flag(name: str) -> str:
    """Return the option that sets a field of `Job`.

    Example:
        >>> flag("input_shape"), flag("measure"), flag("target")
        ('--input', '--measure', '--target')
    """
    (option,) = get_type_hints(Job, include_extras=True)[name].__metadata__
    # Within Annotated, typer takes what stands where a default would as the first name.
    return option.default.partition("/")[0] if isinstance(option.default, str) else f"--{name}"


Command = Callable[..., None]


def grouped_options(
    *, without: Collection[str] = (), spec: Any = None
) -> Callable[[Command], Command]:
    """Return a decorator that turns every parameter whose type is a dataclass into its options.

    Args:
        without: Fields of `Job` that mean nothing to the command; they keep their defaults.
        spec: What the first argument is, where that is not the SPEC of `Job`.
    """

    def decorate(command: Command) -> Command:
        groups: dict[str, tuple[Any, list[str]]] = {}
        options: list[inspect.Parameter] = []
        hints = get_type_hints(command, include_extras=True)
        for parameter in inspect.signature(command).parameters.values():
            hint = hints[parameter.name]
            if not (isinstance(hint, type) and is_dataclass(hint)):
                options.append(parameter.replace(annotation=hint, kind=parameter.KEYWORD_ONLY))
                continue
            made = inspect.signature(hint).parameters.values()
            own = [each for each in made if hint is not Job or each.name not in without]
            own_hints = get_type_hints(hint, include_extras=True)
            if hint is Job and spec is not None:
                own_hints["spec"] = spec
            options += [each.replace(annotation=own_hints[each.name]) for each in own]
            groups[parameter.name] = (hint, [each.name for each in own])

        def grouped(**values: Any) -> None:
            made = {
                name: group(**{own: values.pop(own) for own in names})
                for name, (group, names) in groups.items()
            }
            command(**made, **values)

        grouped.__name__, grouped.__doc__ = command.__name__, command.__doc__
        grouped.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        grouped.__annotations__ = {option.name: option.annotation for option in options}
        return grouped

    return decorate


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="EDGEGRAPH_STORE",
        metavar="PATH",
        help="Keep the results in this run database, such as runs.db.",
    ),
]


JsonObject = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="One JSON object on one line for every batch size.")
]
JsonFiles = Annotated[bool, typer.Option("--json", help="Print the files as a JSON list.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")]


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
