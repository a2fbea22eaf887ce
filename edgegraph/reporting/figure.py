"""What all figures share: their sizes, their look, and how they are written.

This is the one module that imports matplotlib, and only when something is drawn: what else draws,
draws on Axes with what is offered here.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet
from xml.etree import ElementTree

from edgegraph.base.files import replacing
from edgegraph.base.shown import shown
from edgegraph.errors import InputError
from edgegraph.reporting.labels import CHARACTER_WIDTH
from edgegraph.reporting.palette import INK, MUTED, PAGE_VARIABLES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


FORMATS = ("png", "svg", "pdf")
COLUMN_INCHES = 3.3
"""Width of one column of a paper with two."""

PAGE_INCHES = 7.0
"""Width of both columns."""

FONT_POINTS = 7.0
SMALL_POINTS = 6.0
"""Nothing is written smaller."""

ROW_INCHES = 0.19
"""Height of one bar with its name."""

MOST_BARS = 30
"""Shorter layers share one line, which gives their sum, or are left out."""


def figure_of(ax: Axes) -> Figure:
    """Return the figure that holds the axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def figure_format(path: Path) -> str:
    """Name the format that a path's ending asks for."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot write {path}: choose a name that ends in .png, .svg or .pdf")
    return kind


def save_figure(ax: Axes, path: str | Path) -> Path:
    """Write the figure that holds `ax`, as PNG, SVG or PDF by the path's ending."""
    import matplotlib as mpl

    path = Path(path)
    kind = figure_format(path)
    # Without dates, and with a fixed salt for ids, the same figure gives the same bytes.
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "edgegraph"}):
        _shown(ax).savefig(temporary, format=kind, dpi=300, metadata=undated[kind])
    return path


def _shown(ax: Axes) -> Figure:
    """Return the figure that holds `ax`, with nothing in its texts that has no picture."""
    from matplotlib.text import Text

    figure = figure_of(ax)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if (seen := shown(text.get_text(), keep="\n")) != text.get_text():
            text.set_text(seen)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    _ours.add(figure)
    _show_in_notebooks()
    return figure


_ours: WeakSet[Figure] = WeakSet()
"""Figures that were made here: pyplot knows nothing of them, and so shows them nowhere."""


def _show_in_notebooks() -> None:
    """Have a notebook draw Axes of ours that a cell ends with, one or a pair."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is not None:
        from matplotlib.axes import Axes

        formatter.formatters["image/png"].for_type(Axes, png_of)
        formatter.formatters["image/png"].for_type(tuple, png_of)


def png_of(drawn: Axes | tuple[Any, ...]) -> bytes | None:
    """Return the figure of Axes, or of all in a tuple, as a PNG; None where it is none of ours."""
    axes = drawn if isinstance(drawn, tuple) else (drawn,)
    figures = {figure_of(each) if hasattr(each, "get_figure") else None for each in axes}
    if len(figures) != 1 or figures.pop() not in _ours:
        return None
    buffer = io.BytesIO()
    _shown(axes[0]).savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def two_axes(width: float, height: float, *, beside: bool = False, **margins: float) -> Any:
    """Make a figure with two Axes, beside each other or with one x axis; sizes in inches."""
    figure = new_figure(width, height)
    rows, columns = (1, 2) if beside else (2, 1)
    first, second = figure.subplots(rows, columns, sharex=not beside)
    figure.subplots_adjust(**margins)
    return first, second


def column_axes(
    height: float, *, left: float, top: float = 0.22, width: float = COLUMN_INCHES
) -> Axes:
    """Make a figure with one Axes; sizes in inches, `left` and `top` are margins."""
    right, bottom = 0.08, 0.4
    return new_figure(width, height).add_axes(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
    )


def names_margin(names: Sequence[str], points: float = FONT_POINTS) -> float:
    """Return the margin in inches that names left of the axes need."""
    return 0.14 + CHARACTER_WIDTH * points / 72 * max(map(len, names), default=0)


def name_length(width: float, points: float = FONT_POINTS) -> int:
    """Return how many characters names may have that leave the rows half of a figure's width."""
    return int((width / 2 - 0.14) / (CHARACTER_WIDTH * points / 72))


def width_inches(ax: Axes) -> float:
    """Return the width of the axes themselves."""
    return float(ax.get_position().width * figure_of(ax).get_size_inches()[0])


def write_title(ax: Axes, text: str) -> None:
    """Write a title over the figure, from its left edge."""
    figure = figure_of(ax)
    width, height = figure.get_size_inches()
    figure.text(
        0.06 / width, 1 - 0.06 / height, text, va="top", fontsize=FONT_POINTS + 0.5, color=INK,
        parse_math=False,
    )  # fmt: skip


def name_across(ax: Axes, text: str) -> None:
    """Name the x axis, from the right edge of the axes where the text is wider than they are."""
    wide = CHARACTER_WIDTH * FONT_POINTS / 72 * len(text) > width_inches(ax)
    ax.set_xlabel(text, fontsize=FONT_POINTS, loc="right" if wide else "center")


def room_beside(ax: Axes, characters: int, low: float, high: float) -> float:
    """Return where a logarithmic x axis from `low` ends that has room for text right of `high`."""
    share = (CHARACTER_WIDTH * SMALL_POINTS * characters + 8) / 72 / width_inches(ax)
    return float(low * (high / low) ** (1 / (1 - min(share, 0.8))))


def write_beside(ax: Axes, said: str, x: float, y: float, *, gap: float = 6) -> None:
    """Write to the right of a place on the axes, `gap` points away from it."""
    ax.annotate(
        said, (x, y), (gap, 0), textcoords="offset points", va="center", fontsize=SMALL_POINTS,
        color=MUTED, annotation_clip=False,
    )  # fmt: skip


def line_handle(label: str, **style: Any) -> Artist:
    """Make an entry of a legend that is a line, or without one (``linestyle="none"``) a mark."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def mark_handle(label: str, marker: str, colour: str, size: float = 4.5, **style: Any) -> Artist:
    """Make an entry of a legend that is a mark."""
    return line_handle(
        label, linestyle="none", marker=marker, color=colour, markersize=size, **style
    )


def patch_handle(label: str, **style: Any) -> Artist:
    """Make an entry of a legend that is a coloured field."""
    from matplotlib.patches import Patch

    return Patch(label=label, **style)


def draw_arrow(ax: Axes, way: Sequence[tuple[float, float]], **style: Any) -> None:
    """Draw an arrow along a way of straight pieces."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    ax.add_patch(FancyArrowPatch(path=Path(way), **style))


def draw_box(
    ax: Axes, corner: tuple[float, float], width: float, height: float, **style: Any
) -> None:
    """Draw a box; `boxstyle` may round its corners."""
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(FancyBboxPatch(corner, width, height, **style))


def write_legend(ax: Axes, handles: Sequence[Artist], *, columns: int | None = None) -> None:
    """Name colours and shapes above the axes, or from the names on their left if alone."""
    if handles:
        start = left_of_names(ax)
        room = width_inches(ax) * (1 - start)
        legend_above(ax, start, columns or _columns_in(room, handles), handles)


def _columns_in(room: float, handles: Sequence[Artist]) -> int:
    """Return how many columns of a legend stand in so many inches, each as wide as its longest."""
    # The mark, the gap behind it and that between columns, in sizes of the font.
    wide = [CHARACTER_WIDTH * len(str(each.get_label())) + 2.7 for each in handles]
    for columns in range(len(handles), 1, -1):
        each, more = divmod(len(handles), columns)  # the first ones have one line more
        ends = [each * column + min(column, more) for column in range(columns + 1)]
        longest = [max(wide[start:end]) for start, end in pairwise(ends)]
        if sum(longest) * SMALL_POINTS / 72 <= room:
            return columns
    return 1


def left_of_names(ax: Axes) -> float:
    """Return where a legend may begin, as a share of the axes' width; 0 is their left edge."""
    place = ax.get_position()
    alone = len(figure_of(ax).axes) == 1
    return -max(0.0, place.x0 - 0.02) / place.width if alone else 0.0


def legend_above(
    ax: Axes, start: float, columns: int, handles: Sequence[Artist] | None = None, **style: Any
) -> None:
    """Write a legend above the axes, of what is labelled there unless handles are given.

    `start` is where it begins, as a share of their width; `columns` stand in one line.
    """
    look = {
        "fontsize": SMALL_POINTS, "labelcolor": INK, "handletextpad": 0.3, "columnspacing": 0.9,
        "handlelength": 1.2,
    }  # fmt: skip
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(start, 1), ncols=columns, frameon=False,
        borderpad=0.1, borderaxespad=0.2, **{**look, **style},
    )  # fmt: skip


def tidy(ax: Axes) -> None:
    """Set the look that all figures share on some axes."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(which="both", labelsize=FONT_POINTS, colors=MUTED, labelcolor=INK, width=0.6)
    ax.tick_params(which="minor", length=1.5)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.patch.set_alpha(0)


def name_rows(ax: Axes, names: Sequence[str], **style: Any) -> None:
    """Name the rows of a chart on the left, the first at the top."""
    ax.set_yticks(range(len(names)), names, **style)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def write_values(axis: Axis, write: Callable[[float], str]) -> None:
    """Write the values of an axis with their units."""
    axis.set_major_formatter(lambda value, _: write(value))


def write_dates(axis: Axis, most: int) -> None:
    """Write the dates of an axis as shortly as they can be told apart, at most so many."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=most)  # type: ignore[no-untyped-call] # has no types
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above


def ticks_at(axis: Axis, values: Sequence[float] | None) -> None:
    """Put ticks at these values, or leave them where None, and no small ones between them."""
    from matplotlib.ticker import FixedLocator, NullLocator

    if values is not None:
        axis.set_major_locator(FixedLocator(values))
    axis.set_minor_locator(NullLocator())


_FEW_DECADES = 100
"""Over less than this, ticks at powers of ten alone would be too few."""


def log_ticks(axis: Axis, most: int, *, span: float = _FEW_DECADES) -> None:
    """Put ticks on a logarithmic axis, and no text at the small ones.

    Where `span`, the largest value over the smallest, is small, they are at 2 and 5 too.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    subs = (1, 2, 5) if span < _FEW_DECADES else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_minor_formatter(NullFormatter())


def few_ticks(axis: Axis, most: int, **options: Any) -> None:
    """Put a few ticks at round values."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, **options))


_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_DROPPED = frozenset({"metadata", "style"})


def inline_svg(ax: Axes, *, prefix: str, label: str) -> str:
    """Return the figure that holds `ax` as one ``<svg>`` element, safe to insert as it stands.

    Text stays text, to be searched, selected and read aloud; a screen reader says `label`. `prefix`
    makes ids unique on a page, whose variables take the place of the palette's colours.
    """
    import matplotlib as mpl

    buffer = io.BytesIO()
    # Matplotlib's ids are random without a salt.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "edgegraph"}):
        _shown(ax).savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    root = ElementTree.fromstring(buffer.getvalue())
    _drop(root)
    for element in root.iter():
        _rewrite(element, prefix)
    # The page decides how large it is; the view box keeps its proportions.
    for attribute in ("width", "height", "version"):
        del root.attrib[attribute]
    # Matplotlib says this for "*" in a style sheet, which would hold for the whole page.
    root.set("style", "stroke-linejoin:round;stroke-linecap:butt")
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _drop(element: ElementTree.Element) -> None:
    for child in list(element):
        if _local(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _drop(child)


def _rewrite(element: ElementTree.Element, prefix: str) -> None:
    """Write an element as HTML wants it: no namespaces, ids of its own, colours of the page."""
    element.tag = _local(element.tag)
    attributes = dict(element.attrib)
    element.attrib.clear()
    for full_name, value in attributes.items():
        name = _local(full_name)
        if name == "id":
            value = prefix + value
        elif name == "href" and value.startswith("#"):
            value = f"#{prefix}{value[1:]}"
        else:
            value = _REFERENCE.sub(lambda found: f"url(#{prefix}{found[1]})", value)
            value = _COLOUR.sub(lambda found: PAGE_VARIABLES.get(found[0], found[0]), value)
        element.set(name, value)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
