"""One self-contained HTML page: opened from disk, offline, light or dark, printable.

Text, tables and plots need no script, and the browser's own radio buttons switch between
analyses; the graph, the table of ops and the links between them are drawn by one script, which
stands in the page. Its content security policy allows that script by its hash, the page's own
styles, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from edgegraph import __version__
from edgegraph.base.files import replacing
from edgegraph.base.shown import shown
from edgegraph.base.units import percent, ratio, seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting import answer, words
from edgegraph.reporting import memory as memory_words
from edgegraph.reporting.labels import shorten
from edgegraph.reporting.presenters import Presenter, Section, Tab
from edgegraph.results.columns import columns_of
from edgegraph.results.kinds import presenter_of
from edgegraph.results.records import LayerRecord

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "format", "scene", "colours", "graph", "graph_drawing", "graph_input", "panel", "tree",
    "roofline", "main",
)  # fmt: skip
"""In this order they make the page's script."""


_LAYER_COLUMNS = columns_of(
    LayerRecord, "params", "macs", "flops", "bytes", "intensity_flops_per_byte"
).values()
"""What stands before the times in the table of layers."""

_FUNCTION_COLUMNS = [column for column in _LAYER_COLUMNS if column.name != "params"]
"""The same of functions."""

_LINE_COLUMNS = [column for column in _LAYER_COLUMNS if column.name in ("flops", "bytes")]
"""The same where lines of code take the room."""


def report(results: Sequence[Any], path: str | Path) -> Path:
    """Write one self-contained page that shows results, one at a time.

    Args:
        results: At least one analysis, study or diff; several of one workload (batches, targets)
            or of different ones.
        path: Where to write; an existing file is replaced as a whole.

    Returns:
        The path written.

    Raises:
        InputError: There is no result or one that is not shown on pages, or the path cannot be
            written.
    """
    return write(page(results), path)


def write(page: str, path: str | Path) -> Path:
    """Write the text of a page, atomically, and return the path."""
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return path


def page(results: Sequence[Any]) -> str:
    """Return the page as text; see `report`."""
    if not results:
        raise InputError("a page needs at least one analysis or study, and there is none")
    presented: list[tuple[Presenter[Any], Any]] = [(presenter_of(each), each) for each in results]
    names = list(
        dict.fromkeys(name for presenter, each in presented for name in presenter.workloads(each))
    )
    sections = [
        presenter.section(each, number) for number, (presenter, each) in enumerate(presented)
    ]
    tabs = [
        presenter.tab(each, number, len(names) > 1)
        for number, (presenter, each) in enumerate(presented)
    ]
    titles = [tab["name"] for tab in tabs]
    for number, tab in enumerate(tabs, start=1):
        if titles.count(tab["name"]) > 1:
            tab["name"] = f"{tab['name']} ({number})"
    return render(sections, tabs, ", ".join(names))


def render(sections: Sequence[Section], tabs: Sequence[Tab], heading: str, hint: str = "") -> str:
    """Fill the page: a tab names its section by ``id``; the footer says the hint besides."""
    digest = hashlib.sha256(_script().encode()).digest()
    return _environment().get_template("shell.html.j2").render(
        sections=sections, tabs=tabs, heading=heading, hint=hint, version=__version__,
        script=Markup(_script()),
        script_hash="sha256-" + base64.b64encode(digest).decode(),  # as the policy names it
    )  # fmt: skip


@cache
def _script() -> str:
    """Put the page's script together; the names in it are its own."""
    parts = [(ASSETS / f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters |= {"code": code, "quantity": _quantity, "shorten": shorten}
    environment.globals |= {
        "si": si, "seconds": seconds, "percent": percent, "ratio": ratio,
        "layer_columns": _LAYER_COLUMNS, "function_columns": _FUNCTION_COLUMNS,
        "line_columns": _LINE_COLUMNS, "words": words, "answer": answer,
        "memory_words": memory_words,
    }  # fmt: skip
    return environment


def _shown(value: Any) -> Any:
    """Show what stands in the page as text, no number apart from its unit; leave markup alone."""
    if type(value) is not str:
        return value
    # As an entity, so that a page holds nothing that cannot be seen.
    return Markup(_BEFORE_A_UNIT.sub("&#160;", str(escape(shown(value, keep="\n\t")))))


_BEFORE_A_UNIT = re.compile(r"(?<=\d) (?=%|[kMGTP]?(?:B|FLOP|MAC)\b|[kMG]?/s\b|[mµn]?s\b)")


def code(text: str) -> Markup:
    """Set what stands between backticks as code."""
    marked = escape(_shown(text))
    pieces = marked.split("`")
    if len(pieces) % 2 == 0:
        return Markup(marked)  # which is escaped
    return Markup("").join(
        Markup(f"<code>{piece}</code>" if number % 2 else piece)
        for number, piece in enumerate(pieces)
    )


def _quantity(text: str) -> Markup:
    """Set number and unit apart, so that numbers align in a column."""
    number, _, unit = text.rpartition(" ")
    if not number:
        return Markup('<span class="n">{}</span><span class="u"></span>').format(text)
    return Markup('<span class="n">{}</span><span class="u">{}</span>').format(number, unit)
