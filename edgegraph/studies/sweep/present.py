"""The sweep as a table for the terminal, with what it says in words."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.reporting.presenters import Summary, study_presenter
from edgegraph.reporting.table_kit import VERDICT_STYLE, ByWidth, plain_table, styled
from edgegraph.results.verdicts import OK
from edgegraph.studies.sweep.choice import curve_name
from edgegraph.studies.sweep.plot import draw as draw
from edgegraph.studies.sweep.result import Sweep, SweepPoint

_WIDE = 120
"""Columns from which the two roofline times and the queue depth are shown too."""


def sweep_table(sweep: Sweep, wide: bool | None = None) -> Group:
    """Show a sweep: a row a point, then its errors, the knee and the batch for the budget.

    Args:
        sweep: Any sweep.
        wide: Whether to show every column; None leaves it to the terminal's width.

    Returns:
        A renderable that is readable at 80 columns.
    """
    device = "no device: nothing predicted" if sweep.device is None else sweep.device.name
    parts: list[RenderableType] = [
        Text(f"{sweep.workload}, {sweep.target}", style="bold"),
        Text(device, style="dim"),
        ByWidth(lambda width: _table(sweep, wide=width >= _WIDE))
        if wide is None
        else _table(sweep, wide=wide),
    ]
    parts += [Text(line, style="red") for line in _errors(sweep)]
    parts += [Text(line, style="yellow") for line in _noise(sweep)]
    parts += [Text(line, style="bold") for line in sweep.conclusions]
    return Group(*parts)


def _table(sweep: Sweep, *, wide: bool) -> Table:
    several = len(sweep.series) > 1
    knees = {(choice.dtype, choice.options, choice.batch) for choice in sweep.knees}
    headings = ["latency", "p90", "per s", *["in flight", "compute", "memory"] * wide]
    headings += ["roofline", "bound", "memory peak" if wide else "peak", "verdict"]
    table = (
        plain_table("curve", "batch", *headings)
        if several
        else plain_table("batch", *headings, justify="right")
    )
    for points in sweep.series.values():
        for position, point in enumerate(points):
            cells: list[RenderableType] = []
            if several:
                cells.append(curve_name(*point.series) if position == 0 else "")
            cells += [str(point.batch), *_measured(point, wide), *_predicted(point, wide)]
            verdict = "failed" if point.error is not None else point.verdict or ""
            said = Text(verdict, style=VERDICT_STYLE.get(verdict, "red"))
            is_knee = (*point.series, point.batch) in knees
            cells.append(said.append(" knee", style="bold cyan") if is_knee else said)
            table.add_row(*cells, end_section=several and position == len(points) - 1)
    return table


def _measured(point: SweepPoint, wide: bool) -> list[str]:
    if point.error is not None:
        return ["", "", ""] + [""] * wide
    depth = "" if point.queue_depth is None else str(point.queue_depth)
    rate = "?" if point.throughput_per_s is None else si(point.throughput_per_s)
    return [seconds(point.latency_s), seconds(point.latency_p90_s), rate] + [depth] * wide


def _predicted(point: SweepPoint, wide: bool) -> list[RenderableType]:
    low, high = point.overlapped_time_s, point.serial_time_s
    times = [seconds(point.compute_time_s), seconds(point.memory_time_s)] if low else ["", ""]
    bracket = "" if low is None else f"{_short(low, high)}{seconds(high)}"
    peak = "" if point.peak_memory_bytes is None else si(point.peak_memory_bytes, "B")
    return [*times * wide, bracket, styled(point.bound), peak]


def _short(low: float, high: float | None) -> str:
    """Write the lower end of a bracket; its unit only where it differs from the upper end's."""
    number, _, unit = seconds(low).rpartition(" ")
    return f"{number if seconds(high).endswith(f' {unit}') else f'{number} {unit}'} to "


def _errors(sweep: Sweep) -> list[str]:
    """Describe why points failed, those that failed alike in one line."""
    batches: dict[str, list[str]] = {}
    for point in sweep.points:
        if point.error is not None:
            batches.setdefault(point.error, []).append(str(point.batch))
    return [
        f"batch {', '.join(dict.fromkeys(failed))}: {error}" for error, failed in batches.items()
    ]


def _noise(sweep: Sweep) -> list[str]:
    """Describe why the noisiest verdicts are what they are."""
    return [
        f"batch {point.batch}: {point.verdict}, since {point.reasons[0]}"
        for point in sweep.points
        if point.verdict not in (None, OK) and point.reasons
    ]


def _summary(sweep: Sweep) -> Summary:
    measured = any(point.latency is not None for point in sweep.points)
    most = max((point.throughput_per_s or 0.0 for point in sweep.points), default=0.0)
    swept = f"{sweep.workload} over {_span(sweep)}"
    return Summary(
        name="sweep",
        workloads=(sweep.workload,),
        target=sweep.target,
        environment=sweep.environment,
        headline=(f"{swept} reaches ", f"{si(most)}/s", ".")
        if most
        else (f"{swept}: ", "nothing was measured", "."),
        found=_span(sweep),
        lead=sweep.conclusions,
        figure="Latency and throughput over the batch size" if measured else None,
    )


def _span(sweep: Sweep) -> str:
    batches = sorted({point.batch for point in sweep.points})
    if not batches:
        return "no batch"
    ends = dict.fromkeys((batches[0], batches[-1]))
    return f"batch {' to '.join(map(str, ends))}"


PRESENTER = study_presenter(sweep_table, _summary)
