"""The layers as boxes and what flows between them, as deep as can be read on the paper there is."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgegraph.base.units import seconds
from edgegraph.errors import InputError
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import OWN, lies_in
from edgegraph.reporting import figure
from edgegraph.reporting.labels import CHARACTER_WIDTH, shorten
from edgegraph.reporting.palette import BOUND_COLOURS, BOUND_LINES, INK, MUTED, PAPER, bound_colour
from edgegraph.reporting.scene.hierarchy import Item, split, topological
from edgegraph.reporting.scene.items import Ops, ops_of
from edgegraph.reporting.scene.layout import Layout, lay_out
from edgegraph.reporting.words import title
from edgegraph.results.analysis import Analysis, LayerRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_INCHES = 8.6
"""A new figure is no higher, so that it fits on a page with its caption."""

MOST_NAME = 26

_UNIT = 0.27
"""Points to a unit of the layout, whose gaps are made for a screen."""

_BOX_POINTS = 11.0
_PADDING_POINTS = 5.0
_MARGIN_INCHES = 0.08
_TOP_INCHES = 0.42


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGraph:
    """Layers and what flows between them; no way leads back.

    Attributes:
        names: One for each box, in topological order; neighbours may share a box.
        rows: None where a box holds several layers.
        lines: Source and target, by position; source < target.
    """

    names: tuple[str, ...]
    rows: tuple[LayerRecord | None, ...]
    lines: tuple[tuple[int, int], ...]


def layer_graph(
    analysis: Analysis, ax: Axes | None = None, *, width: float = figure.COLUMN_INCHES
) -> Axes:
    """Draw the layers as boxes and what flows between them as arrows, from top to bottom.

    Every box has the layer's name, its time and the colour of what binds it. The layers are
    those as deep in the model as there is room for; where even the outermost are too many,
    neighbours share a box. A layer whose ops all run in another's kernels has no box of its own,
    and what a parent does itself between its layers is drawn with the layer before it.

    Args:
        analysis: An analysis whose ops have layers.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches; `PAGE_INCHES` for both columns of a paper.

    Returns:
        The axes drawn on, without ticks.

    Raises:
        InputError: No op has a layer.
    """
    if ax is None:
        across, up = width - 2 * _MARGIN_INCHES, MOST_INCHES
    else:
        across, up = _inches(ax)
    graph, layout = _readable(analysis, 72 * across / _UNIT, 72 * up / _UNIT)
    if ax is None:
        ax = _new_axes(layout, width)
        figure.write_title(ax, title(analysis))
    spare_x, spare_y = (
        max(0.0, 72 * inches / _UNIT - size)
        for inches, size in zip(_inches(ax), (layout.width, layout.height), strict=True)
    )
    ax.set_xlim(-spare_x / 2, layout.width + spare_x / 2)
    ax.set_ylim(layout.height + spare_y / 2, -spare_y / 2)
    ax.set_axis_off()
    for number in range(len(graph.lines)):
        _arrow(ax, graph, layout, number)
    for number, (left, top) in enumerate(layout.boxes):
        _box(ax, graph.names[number], graph.rows[number], left, top)
    _legend(ax, graph.rows)
    return ax


def layers_at(
    records: Sequence[LayerRecord],
    ops: Sequence[Item],
    operands: Sequence[Sequence[int]],
    depth: int,
) -> LayerGraph:
    """Return the layers that `depth` scopes lead to, and what flows between them.

    Ops outside of all scopes are left out: what they read is read by those that read them. A
    layer that is left and entered again has a box for every stay.
    """
    labels = _labels([item.path for item in ops], operands, depth)
    parts = split(labels, operands)
    through: list[set[int]] = []
    lines: set[tuple[int, int]] = set()
    for part, label, read in zip(parts, labels, operands, strict=True):
        sources = set().union(*(through[operand] for operand in read)) - {part}
        if label is not None:
            lines.update((source, part) for source in sources)
        through.append(sources if label is None else {part})
    found: dict[int, tuple[str, LayerRecord | None]] = {}
    for item, part, label in zip(ops, parts, labels, strict=True):
        row = item.rows[depth - 1] if len(item.path) >= depth else None
        if label is not None and (part not in found or row is not None):
            found[part] = label, None if row is None else records[row]
    return _ordered(found, lines)


def unfused(ops: Ops, analysis: Analysis) -> tuple[list[int], list[Item], list[list[int]]]:
    """Return the ops with those of fusions and calls in their place, operands before users.

    Their positions among the records, they themselves, and which of them each reads.

    A fusion may run several layers in one kernel; what flows between these is seen only inside.
    """
    items = ops.items
    opened = [record.opcode in opcodes.INLINED for record in analysis.op_records]
    result: dict[int, int] = {}
    for number, item in enumerate(items):
        # The last op inside is what the container gives.
        if item.parent is not None and opened[item.parent]:
            result[item.parent] = number

    def source(number: int) -> int:
        while True:
            giver = ops.outer[number]
            if number in result:
                number = result[number]
            elif giver is not None and opened[items[number].parent or 0]:
                number = giver
            else:
                return number

    shown: list[int] = []
    seen: set[int] = set()
    for number, item in enumerate(items):
        if item.parent is None or (item.parent in seen and opened[item.parent]):
            seen.add(number)
            if source(number) == number:
                shown.append(number)
    at = {number: place for place, number in enumerate(shown)}
    reads = [[at[source(o)] for o in items[number].operands] for number in shown]
    order = topological(
        len(shown), [(read, user) for user, found in enumerate(reads) for read in found]
    )
    place = {number: rank for rank, number in enumerate(order)}
    return (
        [shown[number] for number in order],
        [items[shown[number]] for number in order],
        [[place[read] for read in reads[number]] for number in order],
    )


def _labels(
    paths: Sequence[tuple[str, ...]], operands: Sequence[Sequence[int]], depth: int
) -> list[str | None]:
    """Name the layer of every op; None outside of all scopes, and for constants of a parent.

    What a layer above does itself, such as to add and activate, stands with the last of its
    layers from which it reads.
    """
    labels: list[str | None] = []
    for path, read in zip(paths, operands, strict=True):
        scope = "/".join(path)
        # In topological order the last is the furthest along.
        found = [labels[operand] for operand in sorted(read)]
        below = [label for label in found if label and label != scope and lies_in(label, scope)]
        if len(path) >= depth or not path:
            labels.append("/".join(path[:depth]) or None)
        else:
            labels.append(below[-1] if below else f"{scope} {OWN}" if any(found) else None)
    return labels


def _ordered(
    found: Mapping[int, tuple[str, LayerRecord | None]], lines: Collection[tuple[int, int]]
) -> LayerGraph:
    """Number the boxes so that all lines run forwards; only the first stay has the time."""
    place = {part: number for number, part in enumerate(found)}
    between = sorted((place[source], place[target]) for source, target in lines)
    order = topological(len(found), between)
    labels = list(found.values())
    names: list[str] = []
    rows: list[LayerRecord | None] = []
    seen: set[str] = set()
    for number in order:
        label, row = labels[number]
        name = label.rpartition("/")[2]
        if row is not None and row.phase != "forward" and name != row.phase:
            name += f" {row.phase}"
        names.append(f"{name}, again" if label in seen else name)
        rows.append(None if label in seen else row)
        seen.add(label)
    position = {number: rank for rank, number in enumerate(order)}
    return LayerGraph(
        names=tuple(names),
        rows=tuple(rows),
        lines=tuple((position[source], position[target]) for source, target in between),
    )


def bundled(graph: LayerGraph, count: int) -> LayerGraph:
    """Put neighbours in topological order into `count` boxes; no cycle can come up."""
    runs = [number * count // len(graph.names) for number in range(len(graph.names))]
    members = [[n for n, run in enumerate(runs) if run == wanted] for wanted in range(count)]
    lines = {(runs[source], runs[target]) for source, target in graph.lines}
    return LayerGraph(
        names=tuple(
            graph.names[run[0]] if len(run) == 1
            else f"{shorten(graph.names[run[0]], 12)} … {shorten(graph.names[run[-1]], 12)}"
            for run in members
        ),
        rows=tuple(graph.rows[run[0]] if len(run) == 1 else None for run in members),
        lines=tuple(sorted(line for line in lines if line[0] != line[1])),
    )  # fmt: skip


def _readable(analysis: Analysis, width: float, height: float) -> tuple[LayerGraph, Layout]:
    """Return the deepest graph that fits, sizes in units of the layout."""
    _, ops, operands = unfused(ops_of(analysis), analysis)
    deepest = max((len(item.path) for item in ops), default=0)
    if not deepest:
        raise InputError(
            f"no op of {analysis.workload!r} has a layer, so there is no graph of layers; analyse"
            " a Flax module, or name the scopes with jax.named_scope"
        )
    chosen: tuple[LayerGraph, Layout] | None = None
    for depth in range(1, deepest + 1):
        graph = layers_at(analysis.layer_records, ops, operands, depth)
        layout = _laid_out(graph)
        if layout.width > width or layout.height > height:
            if chosen is None or len(chosen[0].names) == 1:
                chosen = _squeezed(graph, width, height)
            break
        chosen = graph, layout
    assert chosen is not None
    return chosen


def _squeezed(graph: LayerGraph, width: float, height: float) -> tuple[LayerGraph, Layout]:
    """Put neighbours together until the graph fits, or is one box."""
    layout = _laid_out(graph)
    while (layout.width > width or layout.height > height) and len(graph.names) > 1:
        graph = bundled(graph, math.ceil(0.8 * len(graph.names)) - 1)
        layout = _laid_out(graph)
    return graph, layout


def _laid_out(graph: LayerGraph) -> Layout:
    sizes = [
        (_text_width(name, row), round(_BOX_POINTS / _UNIT))
        for name, row in zip(graph.names, graph.rows, strict=True)
    ]
    return lay_out(sizes, graph.lines)


def _text_width(name: str, row: LayerRecord | None) -> int:
    characters = len(_said(name, row))
    return round((CHARACTER_WIDTH * figure.SMALL_POINTS * characters + _PADDING_POINTS) / _UNIT)


def _said(name: str, row: LayerRecord | None) -> str:
    """Write what stands in a box: the name and, as far as it is known, the time."""
    name = shorten(name, MOST_NAME)
    if row is None or row.time_s is None:
        return name
    return f"{name}  {'~' * (row.time_source != 'measured')}{seconds(row.time_s)}"


def _new_axes(layout: Layout, width: float) -> Axes:
    across, up = width - 2 * _MARGIN_INCHES, layout.height * _UNIT / 72 + 0.04
    height = up + _TOP_INCHES + _MARGIN_INCHES
    return figure.new_figure(width, height).add_axes(
        (_MARGIN_INCHES / width, _MARGIN_INCHES / height, across / width, up / height)
    )


def _inches(ax: Axes) -> tuple[float, float]:
    box, (width, height) = ax.get_position(), figure.figure_of(ax).get_size_inches()
    return float(box.width * width), float(box.height * height)


def _arrow(ax: Axes, graph: LayerGraph, layout: Layout, number: int) -> None:
    """Draw a line from a box's foot, through the lanes beside the rows it passes, to a head."""
    source, target = graph.lines[number]
    high = _BOX_POINTS / _UNIT
    left, top = layout.boxes[source]
    end, foot = layout.boxes[target]
    way = [(left + _text_width(graph.names[source], graph.rows[source]) / 2, top + high)]
    for x, above, below in layout.lanes.get(source, ())[: layout.bends[number]]:
        way += [(x, above), (x, below)]
    way.append((end + _text_width(graph.names[target], graph.rows[target]) / 2, foot))
    figure.draw_arrow(
        ax, way, arrowstyle="-|>", mutation_scale=4.5, color=MUTED, linewidth=0.6, shrinkA=0,
        shrinkB=0, joinstyle="round", capstyle="butt", zorder=1,
    )  # fmt: skip


def _box(ax: Axes, name: str, row: LayerRecord | None, left: float, top: float) -> None:
    wide, high = _text_width(name, row), _BOX_POINTS / _UNIT
    bound = None if row is None else row.bound
    figure.draw_box(
        ax, (left, top), wide, high, boxstyle="round,pad=0,rounding_size=6", facecolor=PAPER,
        edgecolor=bound_colour(bound), linewidth=1.2, zorder=2,
        linestyle="-" if bound is None else BOUND_LINES[bound],
    )  # fmt: skip
    ax.text(
        left + wide / 2, top + high / 2, _said(name, row), ha="center", va="center_baseline",
        fontsize=figure.SMALL_POINTS, color=INK, zorder=3, parse_math=False,
    )  # fmt: skip


def _legend(ax: Axes, rows: Sequence[LayerRecord | None]) -> None:
    """Name the colours, and say where the times come from."""
    bounds = {row.bound for row in rows if row is not None}
    handles = [
        figure.line_handle(
            f"{bound}-bound", color=colour, linewidth=1.4, linestyle=BOUND_LINES[bound]
        )
        for bound, colour in BOUND_COLOURS.items()
        if bound in bounds
    ]
    sources = sorted({row.time_source for row in rows if row is not None and row.time_source})
    if sources:
        said = ["~: estimated" if source == "estimated" else "time measured alone"
                for source in sources]  # fmt: skip
        handles.append(figure.line_handle(", ".join(said), linestyle="none"))
    figure.write_legend(ax, handles)
