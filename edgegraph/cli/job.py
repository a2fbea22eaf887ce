"""The options that commands share, how their values are read, and where results are kept."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from edgegraph.cli.completion import complete_spec
from edgegraph.cli.ending import say
from edgegraph.errors import InputError

if TYPE_CHECKING:
    from edgegraph.store import Store


def parse_compiler_option(text: str) -> str | int | float | bool:
    """Read the value of an XLA compiler option: a truth, a number, else text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def parse_assignments(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Split the KEY=VALUE pairs of an option; the values stay text."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not (key and equals):
            raise InputError(f"{option} {pair!r} is not KEY=VALUE, such as flavor=linen")
        if key in values:
            raise InputError(f"{option} gives {key!r} twice; give it once")
        values[key] = text.strip()
    return values


def parse_options_set(text: str) -> tuple[str, dict[str, str | int | float | bool]]:
    """Read a label and compiler options; a comma before a word without ``=`` belongs to a value."""
    name, colon, rest = text.partition(":")
    if not (name.strip() and colon and rest.strip()):
        raise InputError(
            f"--options-set {text!r} is not NAME:KEY=VALUE,..., such as"
            " unfused:xla_disable_hlo_passes=fusion"
        )
    pairs = re.split(r",(?=\s*\w+\s*=)", rest)
    values = parse_assignments("--options-set", pairs)
    return name.strip(), {key: parse_compiler_option(value) for key, value in values.items()}


def parse_sizes(option: str, text: str) -> list[int]:
    """Read a list of sizes and of spans whose steps double: 3:20 is 3, 6, 12, 20."""
    sizes: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise InputError(
                f"{option} {text!r}: {part.strip()!r} is neither a positive size nor a span such as"
                " 1:256"
            )
        while first < last:
            sizes.append(first)
            first *= 2
        sizes.append(last)
    return sorted(set(sizes))


_SECONDS_BY_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


def parse_time(option: str, text: str) -> float:
    """Read a time with its unit, ``10ms``; returns seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|us|µs)\s*", text)
    value = float(match[1]) * _SECONDS_BY_UNIT[match[2]] if match else 0.0
    if not value > 0:
        raise InputError(
            f"{option} {text!r} is not a time; expected, for example, 10ms, 250us or 0.5s"
        )
    return value


def parse_depths(texts: Sequence[str]) -> tuple[int | None, ...] | Literal["all"]:
    """Read how finely layers are to be cut: numbers, ``leaves``, or ``all``; leaves by default."""
    if "all" in texts:
        return "all"
    for text in texts:
        if text != "leaves" and not text.isdecimal():
            raise InputError(
                f"--depth {text!r} is not a depth; expected 0, 1, 2, ..., leaves or all"
            )
    return tuple(None if text == "leaves" else int(text) for text in texts) or (None,)


TIMED_TOO = ("depth", "seconds", "throughput", "cold", "cores")
"""Fields that say what an analysis times besides the whole; they mean nothing to a gate."""

ANALYSIS_ONLY = (*TIMED_TOO, "trace", "trace_dir", "device", "trips", "params")
"""Fields that mean nothing to a study."""

CODE_ONLY = (*ANALYSIS_ONLY, "module")
"""Fields that mean nothing to a study that compiles its subject itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to analyse and how, as asked for on the command line."""

    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="What to analyse: package.module:attribute or ./file.py:attribute (a function"
            " returning a Workload, a Workload, a function with --arg, or a Flax module with"
            " --input); a file with HLO, or a folder that XLA dumped to; a profile (.xplane.pb, or"
            " a log folder); a saved .edgegraph file.",
            autocompletion=complete_spec,
        ),
    ]
    batch: Annotated[
        list[int] | None,
        typer.Option("--batch", "-b", metavar="N", help="Batch size; repeatable. Default: 1."),
    ] = None
    axes: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            metavar="NAME=SIZE",
            help="Size along an axis of the workload besides the batch: length=512; repeatable.",
        ),
    ] = None
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[NAME=]SHAPE",
            help="Input of a bare Flax module without batch: 28x28x1, x=16, ids=i32[128];"
            " repeatable.",
        ),
    ] = None
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="dtype that the network computes in: float32, bfloat16."),
    ] = None
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="Method of a bare Flax module to call."),
    ] = None
    arguments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Argument of a function SPEC; repeatable."),
    ] = None
    args: Annotated[
        list[str] | None,
        typer.Option(
            "--arg",
            metavar="NAME=VALUE",
            help="Argument of a plain function: x=f32[8,784], n=3, params.bias=f32[10];"
            " repeatable.",
        ),
    ] = None
    compiler_options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="XLA compiler option; repeatable."),
    ] = None
    target: Annotated[str | None, typer.Option(help="What to compile for. Default: cpu.")] = None
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="NAME",
            help="Which module of a file or folder that holds several: its name or number.",
        ),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Whose roofs a file gets: h100-sxm, rpi5; `edgegraph devices` lists them.",
        ),
    ] = None
    trips: Annotated[
        list[str] | None,
        typer.Option(
            "--trips",
            metavar="LOOP=N",
            help="How often a loop runs whose length depends on data: while.8=16; repeatable.",
        ),
    ] = None
    params: Annotated[
        str | None,
        typer.Option(
            "--params",
            metavar="NAME",
            help="Which argument is the tree of the model's parameters, where that is not found:"
            " its name, its position, or a path in it such as state.params.",
        ),
    ] = None
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
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="For timing layers, for each batch size. Default: 20."),
    ] = None
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
        int | None, typer.Option(metavar="N", help="Time it on N cores too, compiled for them.")
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
        """The batch sizes, each once; 1 where none is given."""
        for batch in self.batch or ():
            if batch < 1:
                raise InputError(f"--batch must be a positive integer, not {batch}")
        return tuple(dict.fromkeys(self.batch or (1,)))

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes along axes of the workload besides the batch, by name."""
        pairs = parse_assignments("--axis", self.axes or ())
        for name, text in pairs.items():
            if not (text.isdecimal() and int(text)):
                raise InputError(
                    f"--axis {name}={text} is no size; expected a positive integer, such as"
                    f" {name}=512"
                )
        return {name: int(text) for name, text in pairs.items()}

    def check_one_batch(self, reason: str) -> None:
        """Refuse several batch sizes, for the reason given."""
        if len(self.batches) > 1:
            raise InputError(f"{reason}; give one --batch")


def flag(name: str) -> str:
    """Return the option that sets a field of `Job`: ``--input`` for ``input_shape``."""
    (option,) = get_type_hints(Job, include_extras=True)[name].__metadata__
    # Within Annotated, typer takes what stands where a default would as the first name.
    return option.default.partition("/")[0] if isinstance(option.default, str) else f"--{name}"


Command = Callable[..., None]


def grouped_options(
    *, without: Collection[str] = (), spec: Any = None
) -> Callable[[Command], Command]:
    """Return a decorator that turns parameters of a dataclass's type into its fields as options.

    Fields of `Job` in `without` mean nothing to the command and keep their defaults; `spec` is what
    the first argument is, where that is not the SPEC of `Job`.
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
                say(f"kept as {names}")

        yield keep
