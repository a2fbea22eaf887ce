"""A regression study: its tables, its figure, and what a page says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import ratio, seconds
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.palette import INK, MUTED
from edgegraph.reporting.presenters import Summary, at_batch, study_presenter
from edgegraph.reporting.table_kit import cells, column_table, plain_table, styled
from edgegraph.results.columns import columns_of
from edgegraph.results.verdicts import FASTER, NOISY, SLOWER
from edgegraph.studies.regress.compile_time import CompileTime
from edgegraph.studies.regress.result import LayerShift, Regression, VersionRow
from edgegraph.studies.regress.words import NOTHING_COMPARED, of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = {SLOWER: "red", FASTER: "green", NOISY: "yellow"}
_MOST_LAYERS, _MOST_OPS = 15, 8
_MOST_SETTINGS, _MOST_PASSES = 12, 12
_LONGEST = 44


def regression_table(study: Regression, wide: bool | None = None) -> Group:
    """Show the versions, what changed between two of them, and what the study says."""
    parts: list[RenderableType] = [
        Text(f"{study.workload}{at_batch(study.batch)}, {study.target}", style="bold"),
        _versions(study),
    ]
    parts += [Text(line, style="red") for line in _errors(study)]
    parts += [Text(line, style="dim") for line in _probes(study)]
    if study.layers:
        parts.append(_layers(study.layers[:_MOST_LAYERS]))
    if any(each.growth_s for each in study.ops) or not study.same_program:
        parts.append(_ops(study))
    if study.compile_time is not None and _says_more(study.compile_time):
        parts += _compiling(study.compile_time)
    parts += [Text(line) for line in _settings(study)]
    parts += [Text(line, style="yellow") for line in study.notes]
    parts += [Text(line, style="bold") for line in study.conclusions]
    return Group(*[part for part in parts if not isinstance(part, Table) or part.row_count])


_COLUMNS = columns_of(
    VersionRow, "version", "python", "time_s", "ratio", "verdict", "compile_s", "kernels",
    "flops", "peak_memory_bytes",
)  # fmt: skip


_AHEAD = columns_of(
    VersionRow, "version", "python", "compiler_time_s", "roofline_time_s", "verdict", "compile_s",
    "kernels", "flops", "peak_memory_bytes",
)  # fmt: skip
"""For a target that is not here: what its compiler expects, and its roofline."""


def _versions(study: Regression) -> Table:
    columns = _COLUMNS if study.target == "cpu" else _AHEAD
    first = study.before is not None and study.versions[0].version
    table = column_table(columns)
    for row in study.versions:
        timing = row.timing
        base = next((each.timing for each in study.versions if each.timing), None)
        time = seconds(row.time_s) if timing else ""
        if row.version == first and base is not None:
            time = seconds(base.first_s)
        table.add_row(
            *cells(
                row,
                columns,
                python=row.python or "",
                time_s=time,
                ratio="" if timing is None else _interval(timing.ratio, timing.interval),
                verdict=Text("failed", style="red") if row.error else styled(row.verdict, _STYLES),
            )
        )
    return table


def _interval(value: float, interval: tuple[float, float] | None) -> str:
    said = f"{value:.2f}"
    return said if interval is None else f"{said} ({interval[0]:.2f} to {interval[1]:.2f})"


def _errors(study: Regression) -> Iterator[str]:
    for row in study.versions:
        if row.error is not None:
            yield f"{row.version}: {row.error}"
        elif row.artifact_error is not None:
            why = row.artifact_error
            yield f"{row.version}: no artifact, which tells whose change it is ({why})"


def _probes(study: Regression) -> Iterator[str]:
    words = {True: "changed", False: "as the first", None: "cannot be told"}
    for each in study.probes if len(study.versions) > 2 else ():
        yield f"{each.version}: {words[each.changed]}; {each.why}"


def _layers(layers: Sequence[LayerShift]) -> Table:
    table = plain_table(
        "layer", "before", "after", "ratio", "verdict", "whose", "what differs",
        words={"verdict", "whose", "what differs"},
    )  # fmt: skip
    table.columns[-1].no_wrap = False
    for each in layers:
        timed = each.ratio is not None
        table.add_row(
            shorten(each.layer, _LONGEST) + ("" if each.phase == "forward" else f" ({each.phase})"),
            seconds(each.before_s) if each.before_s is not None else "",
            seconds(each.after_s) if each.after_s is not None else "",
            _interval(each.ratio or 0.0, each.interval) if timed else "",
            styled(each.verdict, _STYLES),
            "" if each.whose is None else of(each.whose),
            "; ".join(each.what[:4]) or each.change,
        )
    return table


def _ops(study: Regression) -> Table:
    table = plain_table("op", "in", "before", "after", words={"in"})
    for each in study.ops[:_MOST_OPS]:
        forms = " → ".join(dict.fromkeys(filter(None, (each.before, each.after))))
        gone = "" if each.before else "new: "
        gone = gone if each.after else "gone: "
        times = ("" if x is None else seconds(x) for x in (each.before_s, each.after_s))
        table.add_row(gone + shorten(forms, 60), shorten(each.layer or "", _LONGEST), *times)
    return table


def _says_more(found: CompileTime) -> bool:
    """Return whether compiling is asked for, or differs."""
    return bool(found.layers) or found.verdict in (SLOWER, FASTER) or found.before_s is None


def _compiling(found: CompileTime) -> Iterator[Table]:
    """Yield the tables of passes and of layers compiled alone."""
    one = found.before_s is None
    sides = ("time",) if one else ("before", "after", "ratio", "verdict")
    passes = plain_table("pass of the compiler", "threads", *sides, words={"threads", "verdict"})
    for each in found.passes[:_MOST_PASSES]:
        sure = each.interval if each.verdict != NOISY else None
        span = "" if each.ratio is None else _interval(each.ratio, sure)
        more = () if one else (span, styled(each.verdict, _STYLES))
        times = _times(each.before_s, each.after_s, one)
        passes.add_row(shorten(each.name, _LONGEST), each.threads, *times, *more)
    yield passes
    layers = plain_table("layer compiled alone", "repeats", *sides[:3])
    for row in found.layers[:_MOST_LAYERS]:
        times = _times(row.before_s, row.after_s, one)
        ratios = () if one else ("" if row.ratio is None else f"{row.ratio:.2f}",)
        name = shorten(row.layer or "(no layer)", _LONGEST)
        layers.add_row(name, str(row.repeats), *times, *ratios)
    yield layers


def _times(before_s: float | None, after_s: float | None, one: bool) -> tuple[str, ...]:
    """Write both times, or that of the only version."""
    both = tuple("" if each is None else seconds(each) for each in (before_s, after_s))
    return both[1:] if one else both


def _settings(study: Regression) -> Iterator[str]:
    """Yield a line for each kind of setting that differs."""
    kinds: dict[str, list[str]] = {}
    # What both versions have, and set otherwise, is most likely to matter.
    for each in sorted(study.settings, key=lambda each: None in (each.before, each.after)):
        kinds.setdefault(each.kind, []).append(str(each))
    words = {
        "package": "packages", "option": "options", "setting": "defaults of jax",
        "flag": "defaults of XLA's flags",
    }  # fmt: skip
    for kind, said in kinds.items():
        more = f" and {len(said) - _MOST_SETTINGS} more" if len(said) > _MOST_SETTINGS else ""
        yield f"{words[kind]}: {', '.join(said[:_MOST_SETTINGS])}{more}"


def draw(study: Regression, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES) -> Axes:
    """Draw the time of every version over that of the first, with its interval."""
    rows = [row for row in study.versions if row.timing is not None]
    if not rows:
        raise InputError(f"no two versions of {study.workload!r} were timed, so nothing is drawn")
    labels = [shorten(row.version, 40) for row in rows]
    if ax is None:
        height = 0.75 + figure.ROW_INCHES * max(2, len(rows))
        ax = figure.column_axes(height, left=figure.names_margin(labels), top=0.3, width=width)
    ax.axvline(1.0, color=MUTED, linewidth=0.8)
    for position, row in enumerate(rows):
        timing = row.timing
        assert timing is not None
        ax.plot(timing.control_interval, [position] * 2, "-", color=MUTED, linewidth=5, alpha=0.4)
        ax.plot(timing.interval, [position] * 2, "|-", color=INK, linewidth=1.2)
        ax.plot(timing.ratio, position, "o", color=INK, markersize=3.5)
    figure.name_rows(ax, labels, parse_math=False)
    figure.name_across(ax, "time over that of the first version")
    figure.tidy(ax)
    return ax


def _summary(study: Regression) -> Summary:
    pair = f"{study.before} → {study.after}"
    found = study.verdict or ("the same program" if study.same_program else "another program")
    headline = f"{study.workload}: ", NOTHING_COMPARED, "."
    if study.before is not None:
        times = "" if study.timing is None else f", {ratio(study.timing.ratio)} times as long"
        headline = f"{study.workload}, {pair}: ", found, f"{times}."
    return Summary(
        name="regress",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=headline,
        found=found if study.before is not None else "not compared",
        lead=study.conclusions,
        figure="Time by version" if any(row.timing for row in study.versions) else None,
    )


PRESENTER = study_presenter(regression_table, _summary)
