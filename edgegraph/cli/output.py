"""Where results go: tables and JSON on stdout, files, progress on stderr."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegraph.base.files import check_writable
from edgegraph.base.shown import shown
from edgegraph.base.timing import Progress
from edgegraph.cli.ending import results, say
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.results.records import VIEWS

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis
    from edgegraph.results.base import Shown, Study


PLAIN_FIRST_S, PLAIN_INTERVAL_S = 2.0, 5.0
"""Where stderr is no terminal: when a first line may come, and the next; short work is silent."""


@dataclass(frozen=True, slots=True)
class Report:
    """Shows what is being done, and on a terminal what is known by now, until the end replaces it.

    Attributes:
        tell: Shows a message and a fraction.
        show: Shows tables below; None where there is no terminal to do so.
    """

    tell: Progress
    show: Callable[[Any], None] | None = None

    def __call__(self, message: str, fraction: float | None) -> None:
        """Say what is being done."""
        self.tell(message, fraction)

    def preview(self, result: Shown) -> None:
        """Show what is known of a result before it is complete."""
        from edgegraph.results.kinds import presenter_of

        if self.show is not None and results().isatty():
            self.show(presenter_of(result).table(result, None))


@contextmanager
def progress(clock: Callable[[], float] = time.monotonic) -> Iterator[Report]:
    """Provide what shows, until the block ends, what is being done; tests give a clock."""
    if sys.stderr is not None and sys.stderr.isatty():
        with _live() as report:
            yield report
    else:
        with _plain(clock) as tell:
            yield Report(tell)


@contextmanager
def _live() -> Iterator[Report]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from edgegraph.reporting.table_kit import AsNamed

    said = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True, markup=False, emoji=False)
    bar = Bar(SpinnerColumn(), said, BarColumn(), TimeElapsedColumn(), console=console)
    task = bar.add_task("", total=None)

    def tell(message: str, fraction: float | None) -> None:
        total = None if fraction is None else 1.0
        bar.update(task, description=shown(message), total=total, completed=fraction or 0.0)

    # What does not fit below is cut off: the bar stays in sight.
    with Live(bar, console=console, transient=True, refresh_per_second=10) as live:
        yield Report(tell, lambda tables: live.update(Group(bar, AsNamed(tables))))


@contextmanager
def _plain(clock: Callable[[], float]) -> Iterator[Progress]:
    told, due, over = clock(), PLAIN_FIRST_S, threading.Event()
    doing, since = "", told

    def tell(more: str = "") -> None:
        nonlocal told, due
        if clock() - told >= due:
            told, due = clock(), PLAIN_INTERVAL_S
            print(f"{shown(doing)}{more}", file=sys.stderr, flush=True)

    def report(message: str, fraction: float | None) -> None:
        nonlocal doing, since
        doing, since = message + ("" if fraction is None else f" ({fraction:.0%})"), clock()
        tell()

    def tell_what_takes_long() -> None:
        while not over.wait(due):
            if doing:
                tell(f", {clock() - since:.0f} s")

    ticking = threading.Thread(target=tell_what_takes_long, daemon=True)
    ticking.start()
    try:
        yield report
    finally:
        over.set()
        ticking.join()


PLAIN_WIDTH = 160
"""Columns where stdout is no terminal and COLUMNS says nothing, so that no table is cut off."""

STUDY_SUFFIXES = (".edgegraph", ".csv", ".png", ".svg", ".pdf", ".html")
"""Endings of the files that a study can be written to."""

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


def files_option(suffixes: Sequence[str], more: str = "") -> Any:
    """Return the option ``-o`` of commands whose files are written by their endings."""
    text = f"Write there, by ending: {', '.join(suffixes)}; repeatable.{more}"
    return typer.Option("--output", "-o", metavar="FILE", help=text)


StudyFiles = Annotated[list[Path] | None, files_option(STUDY_SUFFIXES)]
StudyFilesByBatch = Annotated[
    list[Path] | None,
    files_option(STUDY_SUFFIXES, " With several batches, each file is named by its batch too."),
]
StudyFilesByTarget = Annotated[
    list[Path] | None,
    files_option(
        STUDY_SUFFIXES, " With several sweeps, each file is named by its workload and target too."
    ),
]


ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="|".join(VIEWS),
        help="Add up by that; by function where not given and layers cover little.",
        autocompletion=lambda: list(VIEWS),
    ),
]


def check_by(by: str | None) -> None:
    """Refuse what ops are not added up by."""
    if by is not None and by not in VIEWS:
        raise InputError(f"--by {by!r} is unknown; choose one of: {', '.join(VIEWS)}")


def print_rich(*renderables: Any) -> None:
    """Print rich renderables on stdout."""
    from rich.console import Console

    from edgegraph.reporting.table_kit import AsNamed

    has_width = results().isatty() or "COLUMNS" in os.environ
    width = None if has_width else PLAIN_WIDTH
    console = Console(file=results(), width=width, markup=False, emoji=False)
    for renderable in renderables:
        console.print(AsNamed(renderable))


def print_lines(*lines: str) -> None:
    """Print what was done, a line each, on stdout."""
    print_text("".join(f"{shown(line)}\n" for line in lines))


def print_text(text: str) -> None:
    """Print plain text on stdout, as it is."""
    results().write(text)


def print_form(result: Any, table: Callable[[], object], *, json: bool, markdown: bool) -> None:
    """Print a result on stdout: as JSON, as Markdown, or as its table."""
    if json:
        print_json(result.document)
    elif markdown:
        print_text(result.to_markdown())
    else:
        print_rich(table())


def print_json(document: Any) -> None:
    """Print one JSON document on one line of stdout; unknown values are null."""
    import msgspec

    try:
        line = msgspec.json.encode(document)
    except UnicodeEncodeError:  # a path may hold bytes that are no text
        line = msgspec.json.encode(_as_text(msgspec.to_builtins(document)))
    print_text(line.decode() + "\n")


def _as_text(value: Any) -> Any:
    """Return a JSON value with what no text holds written out in its texts."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _as_text(each) for name, each in value.items()}
    return [_as_text(each) for each in value] if isinstance(value, list | tuple) else value


def print_result(result: Shown, *, json: bool) -> None:
    """Print a result on stdout, as a JSON object or as the tables of its kind."""
    from edgegraph.results.kinds import presenter_of

    if json:
        print_json(result.document)
    else:
        print_rich(presenter_of(result).table(result, None))


def present_study(
    study: Study, paths: Sequence[Path], *, json: bool, has_figure: bool = True
) -> list[Path]:
    """Print a study and write its files; return those written. Figures only where it has any."""
    print_result(study, json=json)
    return [
        write_result(study, path)
        for path in paths
        if has_figure or path.suffix not in FIGURE_SUFFIXES
    ]


def write_result(
    result: Any, path: Path, *, write_page: Callable[[Path], object] | None = None
) -> Path:
    """Write a result as the ending of `path` says, which has been checked."""
    if path.suffix == ".edgegraph":
        result.save(path)
    elif path.suffix == ".html":
        (write_page or result.to_html)(path)
    elif path.suffix == ".json":
        result.to_json(path)
    elif path.suffix == ".md":
        from edgegraph.base.files import replacing

        with replacing(path) as temporary:
            temporary.write_text(result.to_markdown(), "utf-8")
    elif path.suffix in FIGURE_SUFFIXES:
        from edgegraph.reporting.figure import save_figure

        axes = result.plot()
        save_figure(axes[0] if isinstance(axes, tuple) else axes, path)
    else:
        from edgegraph.reporting.exports import write_frame

        write_frame(result.frame, path, parquet=path.suffix == ".parquet")
    return path


def file_name(analysis: Analysis) -> str:
    """Name the file of an analysis: ``small_cnn_b32.edgegraph``."""
    stem = re.sub(r"[^\w.-]+", "_", analysis.workload) or "analysis"
    batch = "" if analysis.batch is None else f"_b{analysis.batch}"
    return f"{stem}{batch}.edgegraph"


ForceOption = Annotated[
    bool, typer.Option("--force", help="Let what is not measured replace what was.")
]


def own_file(
    folder: Path, analysis: Analysis, kept: Sequence[Path], *, force: bool = False
) -> Path:
    """Return where in a folder to save an analysis: over one of the same program, and no other.

    `kept` are the files that the command has written, which stay; what was measured stays, too,
    unless it is forced away.
    """
    first = folder / file_name(analysis)
    path, number, why = first, 2, ""
    while reason := _stays(path, analysis, kept, force=force):
        why = why or reason
        path, number = first.with_stem(f"{first.stem}_{number}"), number + 1
    if why:
        say(f"{first} {why}; this one is kept as {path}")
    return path


def _stays(path: Path, analysis: Analysis, kept: Sequence[Path], *, force: bool) -> str:
    """Say why a file must not be written over; empty where it may."""
    if path in kept or (path.exists() and not holds_program_of(path, analysis)):
        return "is of another program"
    return "" if force or not outlives(path, analysis) else "was measured"


def outlives(path: Path, analysis: Analysis) -> bool:
    """Return whether a file holds a measurement, in whose place an analysis has none."""
    from edgegraph.results.files import load_analysis

    if analysis.latency is not None or not path.exists():
        return False
    try:
        return load_analysis(path).latency is not None
    except EdgeGraphError:  # nothing that could be told to be one
        return False


def holds_program_of(path: Path, analysis: Analysis) -> bool:
    """Return whether a file is a saved analysis of the same program, for the same device."""
    from edgegraph.results.files import load_analysis

    try:
        saved = load_analysis(path)
    except EdgeGraphError:  # nothing that could be told to be its own
        return False
    return _identity(saved) == _identity(analysis)


def _identity(analysis: Analysis) -> tuple[str, str | None, str]:
    from edgegraph.hlo.identity import module_digest

    device = analysis.device
    return analysis.target, None if device is None else device.name, module_digest(analysis.module)


def check_files(paths: Sequence[Path], suffixes: Sequence[str], *, option: str = "-o") -> None:
    """Refuse, before any work, other endings and files that cannot be written."""
    for path in paths:
        if path.suffix not in suffixes:
            raise InputError(f"{option} {path}: choose a name that ends in {', '.join(suffixes)}")
        check_writable(path)
