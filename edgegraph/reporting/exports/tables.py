"""Layers and ops as CSV, Parquet, Markdown and LaTeX, and everything as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgegraph.base.files import replacing
from edgegraph.errors import InputError
from edgegraph.reporting.words import headline
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.columns import columns_of
from edgegraph.results.document import document, schema

if TYPE_CHECKING:
    import pandas as pd

SHOWN = columns_of(
    LayerRecord, "params", "macs", "flops", "bytes", "intensity_flops_per_byte", "bound", "time_s",
    "share",
)  # fmt: skip
HEADINGS = ("layer", *(column.heading for column in SHOWN.values()))
_LEFT = [column.dtype == "string" for column in SHOWN.values()]

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "µ": r"$\mu$", "≥": r"$\geq$",
}  # fmt: skip


def write_csv(analysis: Analysis, path: Path) -> None:
    """Write the layers, with the columns of `Analysis.layers`."""
    write_frame(analysis.layers, path)


def write_ops_csv(analysis: Analysis, path: Path) -> None:
    """Write the ops, with the columns of `Analysis.ops`."""
    write_frame(analysis.ops, path)


def write_parquet(analysis: Analysis, path: Path) -> None:
    """Write the ops, with the columns of `Analysis.ops` and their types.

    Raises:
        InputError: No Parquet library is installed.
    """
    write_frame(analysis.ops, path, parquet=True)


def write_frame(frame: pd.DataFrame, path: Path, *, parquet: bool = False) -> None:
    """Write any frame without its index, as CSV or as Parquet.

    Raises:
        InputError: The path cannot be written, or no Parquet library is installed.
    """
    with replacing(path) as temporary:
        if not parquet:
            frame.to_csv(temporary, index=False)
            return
        try:
            frame.to_parquet(temporary, index=False)
        except ImportError as error:
            raise InputError(
                f"writing {path} needs pyarrow, which this Python does not have; run pip install"
                " 'edgegraph[parquet]'"
            ) from error


def write_markdown(analysis: Analysis, path: Path) -> None:
    """Write what `markdown` gives."""
    with replacing(path) as temporary:
        temporary.write_text(markdown(analysis), "utf-8")


def write_latex(analysis: Analysis, path: Path) -> None:
    """Write what `latex` gives."""
    with replacing(path) as temporary:
        temporary.write_text(latex(analysis), "utf-8")


def markdown(analysis: Analysis) -> str:
    """Return the layers as a Markdown table, with the headline above it."""
    lines = [f"**{markdown_text(headline(analysis))}**", "", markdown_row(HEADINGS)]
    lines.append("|---|" + "".join("---|" if left else "--:|" for left in _LEFT))
    for row in analysis.layer_records:
        name = "&nbsp;&nbsp;" * row.depth + markdown_text(_name(row))
        lines.append(markdown_row([name, *_cells(row)]))
    return "\n".join(lines) + "\n"


def latex(analysis: Analysis) -> str:
    """Return the layers as a LaTeX tabular, for the package booktabs."""
    lines = [
        f"% {headline(analysis)}".replace("\n", " "),
        rf"\begin{{tabular}}{{l{''.join('l' if left else 'r' for left in _LEFT)}}}",
        r"\toprule",
        " & ".join(map(_latex, HEADINGS)) + r" \\",
        r"\midrule",
    ]
    for row in analysis.layer_records:
        name = rf"\hspace{{{row.depth}em}}" * bool(row.depth) + _latex(_name(row))
        lines.append(" & ".join([name, *map(_latex, _cells(row))]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _name(row: LayerRecord) -> str:
    last = row.layer.rpartition("/")[2]
    return last if row.phase == "forward" else f"{last} ({row.phase})"


def _cells(row: LayerRecord) -> Iterator[str]:
    for name, column in SHOWN.items():
        cell = column.cell(getattr(row, name))
        estimated = name == "time_s" and cell and row.time_source == "estimated"
        yield f"~{cell}" if estimated else cell


def markdown_row(cells: Sequence[str]) -> str:
    """Return one row of a Markdown table, of cells that are escaped already."""
    return "| " + " | ".join(cells) + " |"


def markdown_text(text: str) -> str:
    """Escape what Markdown, or the HTML in it, would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def write_json(analysis: Analysis, path: Path) -> None:
    """Write everything but the HLO, every op included."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.encode(document(analysis, ops=True)))


def write_schema(analysis: Analysis, path: Path) -> None:
    """Write the JSON Schema of what `write_json` writes; it is the same for every analysis."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(schema(), indent=2), "utf-8")
