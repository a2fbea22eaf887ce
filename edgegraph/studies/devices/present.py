"""A program on several devices: its tables, its figure, and what a page says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import memory_size, percent, ratio, seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.palette import BOUND_COLOURS, BOUND_MARKERS, INK, bound_colour
from edgegraph.reporting.presenters import Summary, at_batch, study_presenter
from edgegraph.reporting.table_kit import cells, column_table, styled
from edgegraph.results.columns import Column, columns_of
from edgegraph.results.verdicts import OK
from edgegraph.studies.devices.result import (
    AT_THE_ROOF,
    EXPECTED,
    MEASURED,
    DeviceComparison,
    DeviceRow,
    OpKind,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def comparison_table(comparison: DeviceComparison, wide: bool | None = None) -> Group:
    """Show workloads, devices and batch sizes side by side, in any width alike."""
    rows = [row for row in comparison.rows if row.error is None]
    parts: list[RenderableType] = []
    if rows:
        parts += [_rows_table(rows), *_notes(rows)]
        parts += _against_each_other(rows)
    parts += [Text(line, style="yellow") for line in _errors(comparison.rows)]
    return Group(*parts)


def _rows_table(rows: Sequence[DeviceRow]) -> Table:
    several = len({row.workload for row in rows}) > 1
    columns = {
        name: column
        for name, column in _COLUMNS.items()
        if name not in _OPTIONAL or any(getattr(row, name) is not None for row in rows)
    }
    table = column_table(columns, overflow="fold", no_wrap=False)
    workload = None
    for row in rows:
        if several and row.workload != workload:
            workload = row.workload
            table.add_row(Text(workload, style="italic"))
        table.add_row(*_cells(row, columns))
    return table


_OPTIONAL = ("expected_s", "compiler_time_s", "measured_s")
_COLUMNS = {
    **columns_of(DeviceRow, "device", "batch"),
    "bracket": Column(heading="roofline time"),
    **columns_of(
        DeviceRow, *_OPTIONAL, "bound", "utilisation", "throughput_per_s", "needed_bytes"
    ),
}  # fmt: skip


def _cells(row: DeviceRow, columns: Mapping[str, Column]) -> list[RenderableType]:
    noisy = "" if row.verdict in (None, OK) else "!"
    part = "≥" if row.whole_compiler_time_s is None else ""
    needed = si(row.needed_bytes, "B")
    span = _span(row.expected_low_s, row.expected_high_s)
    times = {
        "expected_s": f"{seconds(row.expected_s)} ({span})",
        "compiler_time_s": part + seconds(row.compiler_time_s),
        "measured_s": seconds(row.measured_s) + noisy,
    }
    return cells(
        row,
        columns,
        batch=str(row.batch or ""),
        bracket=_bracket(row),
        **{name: text if getattr(row, name) is not None else "" for name, text in times.items()},
        bound=styled(row.bound),
        utilisation="" if row.utilisation is None else percent(row.utilisation),
        throughput_per_s=_MARKS.get(row.time_source or "", "") + si(row.throughput_per_s),
        needed_bytes=Text(f"{needed}!", style="red") if row.fits is False else needed,
    )


def _bracket(row: DeviceRow) -> str:
    """Write both ends, their unit once where it is the same."""
    return _span(row.low_s, row.high_s)


def _span(low_s: float | None, high_s: float | None) -> str:
    low, high = seconds(low_s), seconds(high_s)
    if low == high:
        return low
    unit = high.rpartition(" ")[2]
    return f"{low.removesuffix(f' {unit}')}–{high}"  # noqa: RUF001 (a span of numbers)


_MARKS = {AT_THE_ROOF: "≤", EXPECTED: "≈"}


def _notes(rows: Sequence[DeviceRow]) -> list[Text]:
    """Describe what the columns mean, as far as they need it, and what does not fit."""
    sources = {row.time_source for row in rows}
    times = {
        MEASURED: "of the measured time",
        EXPECTED: "≈ of the expected time",
        AT_THE_ROOF: "≤ with every op at its roof, one after the other",
    }
    said = "; ".join(text for source, text in times.items() if source in sources)
    lines = [
        "roofline time: from all arithmetic and data side by side to one after the other.",
        f"used: T_compute over the time (no roof tells it); per s: examples; {said}."
        if said
        else "",
        "memory: weights, inputs, results and temporaries, as compiled.",
    ]
    if any(row.compiler_time_s is not None for row in rows):
        lines.append("compiler: what the device's own compiler estimates; not validated.")
    if any(row.compiler_time_s != row.whole_compiler_time_s for row in rows):
        lines.append("compiler ≥: it says nothing of some of the kernels.")
    if any(row.device.startswith("device:") for row in rows):
        lines.append(
            "device: no compiler of it is here; kernels by a model of fusion (docs/devices.md);"
            " expected: a first guess, as near to its peak as this host's kernels come to theirs,"
            " unless it was calibrated itself; memory: at least weights and peak activations."
        )
    if any(row.device == "cpu" and row.low_s is None for row in rows):
        lines.append("cpu: its roofs are not known; run edgegraph calibrate once.")
    if any(row.verdict not in (None, OK) for row in rows):
        lines.append("measured !: too noisy to rely on.")
    notes = [Text(line, style="dim") for line in lines if line]
    notes += [Text(line) for line in _largest(rows)]
    return notes + [Text(line, style="red") for line in _misfits(rows)]


def _largest(rows: Sequence[DeviceRow]) -> list[str]:
    """Return one line for every workload with the largest batch that fits each device."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.largest_batch is not None:
            found.setdefault(row.workload, {})[row.device] = row.largest_batch
    return [
        f"largest batch of {workload} that fits and leaves a quarter of the memory to the system"
        " (of a TPU nothing), found by compiling: "
        + ", ".join(f"{device} {batch:,}" for device, batch in devices.items())
        for workload, devices in found.items()
    ]


def _misfits(rows: Sequence[DeviceRow]) -> list[str]:
    """Name what does not fit; on a microcontroller also what would, with its weights in flash."""
    lines = []
    for row in rows:
        if row.fits is not False:
            continue
        line = (
            f"{row.workload} at batch {row.batch} does not fit {row.device}: it needs"
            f" {si(row.needed_bytes, 'B')} of {memory_size(row.capacity_bytes)} {row.memory}"
        )
        beside = row.needed_beside_weights_bytes
        if row.memory == "SRAM" and beside is not None and row.weights_bytes:
            fits = beside <= (row.capacity_bytes or 0)
            line += (
                f"; with its weights ({si(row.weights_bytes, 'B')}) in flash {si(beside, 'B')},"
                f" which {'fits' if fits else 'does not fit either'}"
            )
        lines.append(f"{line}.")
    return lines


def _errors(rows: Sequence[DeviceRow]) -> list[str]:
    """Return one line for every error, with all batch sizes that it concerns."""
    batches: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.error is not None:
            batches.setdefault((row.device, row.error), []).append(str(row.batch))
    return [
        f"{device}, batch {', '.join(dict.fromkeys(sizes))}: {error}"
        for (device, error), sizes in batches.items()
    ]


def _against_each_other(rows: Sequence[DeviceRow]) -> list[RenderableType]:
    """Describe where workloads differ on a device, and which kinds of op each loses on."""
    groups: dict[tuple[str, int | None], list[DeviceRow]] = {}
    for row in rows:
        if row.time_s:
            groups.setdefault((row.device, row.batch), []).append(row)
    pairs = [(key, group) for key, group in groups.items() if len(group) > 1]
    parts: list[RenderableType] = []
    for (device, batch), (first, *others) in pairs:
        parts += [Text(f"\n{device}, batch {batch}: {_against(first, other)}") for other in others]
        parts.append(_kinds_table([first, *others]))
    return parts


def _against(first: DeviceRow, second: DeviceRow) -> str:
    """Hold the workload of fewer MACs against the other."""
    light, heavy = sorted((second, first), key=lambda row: row.macs or 0)
    times = [("at the roof", light.roof_s, heavy.roof_s)]
    if light.time_source == heavy.time_source != AT_THE_ROOF:
        times.insert(0, (light.time_source or "", light.time_s, heavy.time_s))
    estimates = light.whole_compiler_time_s, heavy.whole_compiler_time_s
    times.append(("by the compiler's estimate", *estimates))
    said = [
        f"{ratio(b / a)} times less time {source}" if a < b
        else f"{ratio(a / b)} times as long {source}"
        for source, a, b in times
        if a and b
    ]  # fmt: skip
    macs = ratio((heavy.macs or 0) / light.macs) if light.macs else "?"
    return (
        f"{light.workload} has {macs} times fewer MACs than {heavy.workload} and takes"
        f" {', '.join(said)}; at the roof its ops wait for memory"
        f" {percent(light.memory_bound_share)} of the time, those of {heavy.workload}"
        f" {percent(heavy.memory_bound_share)}."
    )


def _kinds_table(rows: Sequence[DeviceRow]) -> Table:
    """Show the kinds of op that take most time, beside their share of the arithmetic."""
    columns = columns_of(DeviceRow, "workload") | columns_of(OpKind, "kind")
    table = column_table(columns, overflow="fold", no_wrap=False)
    compiled = any(row.whole_compiler_time_s is not None for row in rows)
    measured = {row.measured_s is not None for row in rows}
    time = "time" if len(measured) > 1 else "measured" if True in measured else "at the roof"
    macs, compiler = columns_of(OpKind, "macs", "compiler_time_s").values()
    for heading in (macs.heading, time, *[compiler.heading] * compiled):
        table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True, style="dim")
    for row in rows:
        wholes = [
            sum(kind.macs for kind in row.kinds),
            sum(kind.time_s for kind in row.kinds),
            *[sum(kind.compiler_time_s or 0.0 for kind in row.kinds)] * compiled,
        ]
        name = row.workload
        for kind in row.kinds:
            parts = [kind.macs, kind.time_s, *[kind.compiler_time_s or 0.0] * compiled]
            shares = [
                part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)
            ]
            if max(shares[1:]) < _WORTH_SHOWING:
                continue
            texts = [si(kind.macs), seconds(kind.time_s), seconds(kind.compiler_time_s)]
            numbers = [
                cell
                for part, text, share in zip(parts, texts, shares, strict=False)
                for cell in ((text, percent(share)) if part else ("", ""))
            ]
            table.add_row(name, kind.kind, *numbers)
            name = ""
    return table


_WORTH_SHOWING = 0.02
"""Share of the time from which a kind of op is shown."""


_BESIDE = 9
"""Characters of the longest time beside a row: ``≥ 21.5 µs``."""


def draw(
    comparison: DeviceComparison, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES
) -> Axes:
    """Draw the bracket of every row, from all overlapped to nothing overlapped."""
    rows = [row for row in comparison.rows if row.low_s and row.high_s]
    if not rows:
        raise InputError("no device has figures to draw; the rows' errors say why")
    several = len({row.workload for row in rows}) > 1
    longest = figure.name_length(width)
    labels = [
        shorten(f"{row.workload} on " * several + row.device + at_batch(row.batch, ","), longest)
        for row in rows
    ]
    if ax is None:
        height = 0.75 + figure.ROW_INCHES * max(2, len(rows))
        ax = figure.column_axes(height, left=figure.names_margin(labels), top=0.3, width=width)
    for position, row in enumerate(rows):
        _draw_row(ax, position, row)
    ax.set_xscale("log")
    ends = [end for row in rows for end in (row.low_s, row.high_s, row.measured_s) if end]
    low, high = min(ends) / 2, max(ends)
    ax.set_xlim(low, max(3.0 * high, figure.room_beside(ax, _BESIDE, low, high)))
    figure.log_ticks(ax.xaxis, 4)
    figure.write_values(ax.xaxis, seconds)
    figure.name_rows(ax, labels, parse_math=False)
    figure.name_across(ax, "time of one call, roofline bracket")
    _legend(ax, rows)
    figure.tidy(ax)
    return ax


def _draw_row(ax: Axes, position: int, row: DeviceRow) -> None:
    low, high = row.low_s or 0.0, row.high_s or 0.0
    ax.plot([low, high], [position, position], "|-", color=bound_colour(row.bound), linewidth=5,
            solid_capstyle="butt", markersize=5, markeredgewidth=1.2)  # fmt: skip
    if row.whole_compiler_time_s:
        ax.plot(row.whole_compiler_time_s, position, "x", color=INK, markersize=4)
    if row.measured_s:
        ax.plot(row.measured_s, position, "o", color=INK, markersize=3.5)
    last = max(filter(None, (high, row.whole_compiler_time_s, row.measured_s)))
    said = seconds(row.measured_s) if row.measured_s else f"≥ {seconds(low)}"
    figure.write_beside(ax, said, last, position)


def _legend(ax: Axes, rows: list[DeviceRow]) -> None:
    present = {row.bound for row in rows}
    handles = [
        figure.mark_handle(f"{bound}-bound", "s", colour)
        for bound, colour in BOUND_COLOURS.items()
        if bound in present and bound in BOUND_MARKERS
    ]
    if any(row.measured_s for row in rows):
        handles.append(figure.mark_handle("measured", "o", INK, 3.5))
    if any(row.whole_compiler_time_s for row in rows):
        handles.append(figure.mark_handle("compiler's estimate", "x", INK, 4))
    figure.write_legend(ax, handles)


def _summary(comparison: DeviceComparison) -> Summary:
    timed = _compared(comparison.rows)
    headline = f"{', '.join(comparison.workloads)}: ", "no device has figures", "."
    if timed:
        best = min(timed, key=lambda row: row.low_s or 0.0)
        least = f": at least {seconds(best.low_s)}{at_batch(best.batch, ' at batch')}."
        headline = f"{best.workload} can be fastest on ", best.device, least
    count = len({row.device for row in comparison.rows})
    drawn = any(row.low_s and row.high_s for row in comparison.rows)
    return Summary(
        name="devices",
        workloads=comparison.workloads,
        target=None,
        environment=comparison.environment,
        headline=headline,
        found=f"{count} device{'s' * (count != 1)}",
        figure="Time by device" if drawn else None,
    )


def _compared(rows: Sequence[DeviceRow]) -> list[DeviceRow]:
    """Return the rows with times of the workload and batch size that most devices have."""
    groups: dict[tuple[str, int | None], list[DeviceRow]] = {}
    for row in rows:
        if row.low_s is not None:
            groups.setdefault((row.workload, row.batch), []).append(row)
    return max(groups.values(), key=len, default=[])


PRESENTER = study_presenter(comparison_table, _summary)
