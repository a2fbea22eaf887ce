"""What all figures share: their sizes, their look, and how they are written."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from edgegraph.base.files import replacing
from edgegraph.errors import InputError
from edgegraph.reporting.labels import CHARACTER_WIDTH
from edgegraph.reporting.palette import INK, MUTED, PAGE_VARIABLES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


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
    """Name the format that a path's ending asks for.

    Raises:
        InputError: It is none of `FORMATS`.

    Example:
        >>> figure_format(Path("fig.PDF"))
        'pdf'
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot write {path}: choose a name that ends in .png, .svg or .pdf")
    return kind


def save_figure(ax: Axes, path: str | Path) -> Path:
    """Write the figure that holds `ax`, as PNG, SVG or PDF by the path's ending.

    Args:
        ax: As a plot gave it.
        path: The file.

    Returns:
        The path written.

    Raises:
        InputError: The ending is another one, or the folder cannot be written.
    """
    path = Path(path)
    kind = figure_format(path)
    # Without dates, and with a fixed salt for ids, the same figure gives the same bytes.
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "edgegraph"}):
        figure_of(ax).savefig(temporary, format=kind, dpi=300, metadata=undated[kind])
    return path


def column_axes(
    height: float, *, left: float, top: float = 0.22, width: float = COLUMN_INCHES
) -> Axes:
    """Make a figure with one Axes; sizes in inches, `left` and `top` are margins."""
    right, bottom = 0.08, 0.4
    figure = Figure(figsize=(width, height))
    return figure.add_axes(
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


def write_legend(ax: Axes, handles: Sequence[Artist], *, columns: int | None = None) -> None:
    """Name colours and shapes above the axes, in one line unless `columns` are given.

    Where the axes are alone in their figure, the line may begin above the names on the left.
    """
    if not handles:
        return
    place = ax.get_position()
    alone = len(figure_of(ax).axes) == 1
    start = -max(0.0, place.x0 - 0.02) / place.width if alone else 0.0
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(start, 1),
        ncols=columns or len(handles), fontsize=SMALL_POINTS, frameon=False, labelcolor=INK,
        borderpad=0.1, borderaxespad=0.2, handletextpad=0.3, columnspacing=0.9, handlelength=1.2,
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


_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_DROPPED = frozenset({"metadata", "style"})


def inline_svg(ax: Axes, *, prefix: str, label: str) -> str:
    """Return the figure that holds `ax` as one ``<svg>`` element.

    Text stays text, so that it can be searched, selected and read aloud. Ids are made unique
    by `prefix`, so that several figures can stand on one page, and the palette's colours are
    replaced by the page's variables, so that they follow its light or dark.

    Args:
        ax: Where a plot was drawn.
        prefix: Put before every id.
        label: What a screen reader says about the figure.

    Returns:
        Markup that is safe to insert as it stands; the same every time.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    buffer = io.BytesIO()
    # Matplotlib's ids are random without a salt.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "edgegraph"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
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
            value = _COLOUR.sub(_variable, value)
        element.set(name, value)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _variable(found: re.Match[str]) -> str:
    variable = PAGE_VARIABLES.get(found[0])
    return found[0] if variable is None else f"var({variable})"
