"""Layers and ops as CSV, Parquet, Markdown and LaTeX, and everything as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from edgegraph.base.files import replacing
from edgegraph.base.units import percent, ratio, seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting.words import headline
from edgegraph.results import analysis as records
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord, Totals
from edgegraph.results.columns import intensity

if TYPE_CHECKING:
    import pandas as pd

HEADINGS = ("layer", "params", "MACs", "FLOP", "bytes", "FLOP/B", "bound", "time", "share")

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
    lines.append("|---|" + "--:|" * 5 + "---|" + "--:|" * 2)
    for row in analysis.layer_records:
        name = "&nbsp;&nbsp;" * row.depth + markdown_text(_name(row))
        lines.append(markdown_row([name, *_cells(row)]))
    return "\n".join(lines) + "\n"


def latex(analysis: Analysis) -> str:
    """Return the layers as a LaTeX tabular, for the package booktabs."""
    lines = [
        f"% {headline(analysis)}".replace("\n", " "),
        r"\begin{tabular}{lrrrrrlrr}",
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
    known = row.bytes_read is not None and row.bytes_written is not None
    moved = (row.bytes_read or 0) + (row.bytes_written or 0) if known else None
    estimated = "~" if row.time_source == "estimated" else ""
    yield si(row.params) if row.params else ""
    yield si(row.macs) if row.macs else ""
    yield si(row.flops)
    yield si(moved, "B")
    yield ratio(intensity(row)) if moved else ""
    yield row.bound or ""
    yield "" if row.time_s is None else estimated + seconds(row.time_s)
    yield "" if row.share is None else percent(row.share)


def markdown_row(cells: Sequence[str]) -> str:
    """Return one row of a Markdown table, of cells that are escaped already."""
    return "| " + " | ".join(cells) + " |"


def markdown_text(text: str) -> str:
    """Escape what Markdown, or the HTML in it, would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


VERSION = 1
"""Of the document's form; raised when a field goes or comes to mean something else."""


def write_json(analysis: Analysis, path: Path) -> None:
    """Write the workload, the totals, every layer and every op."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.encode(document(analysis)))


def write_schema(analysis: Analysis, path: Path) -> None:
    """Write the JSON Schema of what `write_json` writes; it is the same for every analysis."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(schema(), indent=2), "utf-8")


def document(analysis: Analysis) -> dict[str, Any]:
    """Return an analysis as JSON objects, with the names of the frames."""
    return {
        "format": "edgegraph-document",
        "version": VERSION,
        "workload": analysis.workload,
        "batch": analysis.batch,
        "target": analysis.target,
        "stage": analysis.stage,
        "device": None if analysis.device is None else analysis.device.name,
        "created_at": analysis.environment.created_at,
        "totals": dict(analysis.totals),
        "layers": [
            {field.name: getattr(row, field.name) for field in fields(LayerRecord)}
            for row in analysis.layer_records
        ],
        "ops": [
            {name: getattr(op, name) for name in OpRecord.__struct_fields__}
            for op in analysis.op_records
        ],
    }


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of `document`."""
    kinds = {
        kind.__name__: msgspec.defstruct(
            kind.__name__,
            list(get_type_hints(kind, vars(records)).items()),
            forbid_unknown_fields=True,
        )
        for kind in (Totals, LayerRecord, OpRecord)
    }
    whole = msgspec.defstruct(
        "EdgeGraphDocument",
        [
            ("format", str),
            ("version", int),
            ("workload", str),
            ("batch", int | None),
            ("target", str),
            ("stage", str),
            ("device", str | None),
            ("created_at", str),
            ("totals", kinds["Totals"]),
            ("layers", GenericAlias(list, (kinds["LayerRecord"],))),
            ("ops", GenericAlias(list, (kinds["OpRecord"],))),
        ],
    )
    return msgspec.json.schema(whole)
