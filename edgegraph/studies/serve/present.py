"""Serving a language model: its table, its figure, and what a page says of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import figure
from edgegraph.reporting.over_sizes import label_over_sizes
from edgegraph.reporting.palette import NEUTRAL, PAPER, curve_style
from edgegraph.reporting.presenters import Summary, study_presenter
from edgegraph.reporting.table_kit import VERDICT_STYLE, cells, column_table, styled
from edgegraph.results.columns import columns_of
from edgegraph.results.verdicts import ESTIMATED, OK
from edgegraph.studies.serve.result import MEASURED, Serving, ServingPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = columns_of(
    ServingPoint, "context", "batch", "first_token_s", "output_token_s", "tokens_per_s",
    "cache_bytes", "prefill_bound", "bound", "peak_memory_bytes",
)  # fmt: skip


def serving_table(serving: Serving, wide: bool | None = None) -> Group:
    """Show a row a batch and context, then errors, where decoding turns, and the choices."""
    device = "no device: nothing predicted" if serving.device is None else serving.device.name
    parts: list[RenderableType] = [
        Text(f"{serving.workload}, {serving.target}", style="bold"),
        Text(f"{device}; {_source(serving)}", style="dim"),
        _table(serving),
    ]
    parts += [
        Text(f"batch {point.batch}, {serving.axis} {point.context}: {point.error}", style="red")
        for point in serving.points
        if point.error is not None
    ]
    parts += [Text(line, style="bold") for line in serving.conclusions]
    return Group(*parts)


def _source(serving: Serving) -> str:
    sources = {point.time_source for point in serving.points}
    if sources == {MEASURED}:
        return "times are measured"
    return "~ times are estimated: those at the roof, which no program undercuts"


def _table(serving: Serving) -> Table:
    measured = any(point.verdict is not None for point in serving.points)
    columns = _COLUMNS | (columns_of(ServingPoint, "verdict") if measured else {})
    table = column_table(columns, justify="right")
    for points in serving.contexts.values():
        for number, point in enumerate(points):
            mark = "" if point.time_source == MEASURED else "~"
            peak = point.peak_memory_bytes
            table.add_row(
                *cells(
                    point,
                    columns,
                    first_token_s=_marked(mark, point.first_token_s, seconds),
                    output_token_s=_marked(mark, point.output_token_s, seconds),
                    tokens_per_s=_marked(mark, point.tokens_per_s, si),
                    prefill_bound=styled(point.prefill_bound),
                    bound=styled(point.bound),
                    # Red: more than the device has.
                    peak_memory_bytes=Text(
                        "?" if peak is None else si(peak, "B"),
                        style="red" if point.fits is False else "",
                    ),
                    verdict=styled(point.verdict, VERDICT_STYLE),
                ),
                end_section=number == len(points) - 1,
            )
    return table


def _marked(mark: str, value: float | None, write: Callable[[float], str]) -> str:
    return "?" if value is None else f"{mark}{write(value)}"


def _summary(serving: Serving) -> Summary:
    sound = [point for point in serving.points if point.verdict in (None, OK)]
    rates = [point.tokens_per_s for point in sound if point.tokens_per_s]
    source = "" if all(p.time_source == MEASURED for p in serving.points) else "about "
    reached = f"{source}{si(max(rates))} tokens/s" if rates else "no sound time"
    return Summary(
        name="serving",
        workloads=(serving.prefill, serving.decode),
        target=serving.target,
        environment=serving.environment,
        headline=(f"{serving.workload} reach ", reached, "."),
        found=reached,
        lead=serving.conclusions,
        figure="Time of a token, and tokens per second" if rates else None,
    )


PRESENTER = study_presenter(serving_table, _summary)


def draw(
    serving: Serving, axes: tuple[Axes, Axes] | None = None, *, width: float = figure.COLUMN_INCHES
) -> tuple[Axes, Axes]:
    """Draw the times of a token above the tokens per second, over the batch, a curve a context.

    Solid is the time of each further token, dashed that of the first. A dotted line marks the batch
    at which decoding turns compute-bound, as far as it was swept. Hollow marks were NOISY or
    INVALID.
    """
    if not any(point.output_token_s for point in serving.points):
        raise InputError(
            f"no point of {serving.workload} has times; look at the errors in its frame"
        )
    if axes is None:
        axes = figure.two_axes(
            width, 3.4, left=0.195, right=0.975, bottom=0.115, hspace=0.09,
            top=0.935 - 0.045 * math.ceil((len(serving.contexts) + 1) / _LEGEND_COLUMNS),
        )  # fmt: skip
        figure.write_title(axes[0], f"{serving.workload}, {serving.target}")
    above, below = axes
    batches = sorted({point.batch for point in serving.points})
    handles = []
    turns = {turn.context: turn.batch for turn in serving.turns}
    for number, (context, points) in enumerate(serving.contexts.items()):
        colour, marker = curve_style(number)
        handles.append(
            figure.line_handle(
                f"{serving.axis} {context:,}", color=colour, marker=marker, markersize=3.4
            )
        )
        _line(above, points, "-", colour, marker, lambda point: point.output_token_s)
        _line(above, points, "--", colour, marker, lambda point: point.first_token_s)
        _line(below, points, "-", colour, marker, lambda point: point.tokens_per_s)
        turn = turns.get(context)
        if turn is not None and turn <= batches[-1]:
            for ax in axes:
                ax.axvline(turn, color=colour, linewidth=0.8, linestyle=":", zorder=0.5)
    handles.append(figure.line_handle("first token", color=NEUTRAL, linestyle="--"))
    measured = all(point.time_source == MEASURED for point in serving.points)
    time = f"time of a token ({MEASURED if measured else ESTIMATED})"
    label_over_sizes(axes, batches, above=time, below="tokens/s", size="batch size")
    figure.legend_above(above, -0.19, _LEGEND_COLUMNS, handles)
    return axes


_LEGEND_COLUMNS = 4


def _line(
    ax: Axes,
    points: Sequence[ServingPoint],
    style: str,
    colour: str,
    marker: str,
    value: Callable[[ServingPoint], float | None],
) -> None:
    found = [(point, height) for point in points if (height := value(point)) is not None]
    ax.plot(
        [point.batch for point, _ in found], [height for _, height in found], style,
        color=colour, linewidth=1.1,
    )  # fmt: skip
    for point, height in found:
        face = colour if point.verdict in (None, OK) else PAPER
        ax.plot(
            point.batch, height, marker, color=colour, markersize=3.4, markerfacecolor=face,
            markeredgewidth=0.9,
        )  # fmt: skip
