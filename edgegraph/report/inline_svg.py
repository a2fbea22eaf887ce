"""Matplotlib figures as SVG that can stand inside an HTML page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib as mpl

from edgegraph.report.palette import PAGE_VARIABLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
