"""The compiled graph as nested boxes with places, as text that stands in the page.

The text is columns, as JSON, compressed. The page writes the HLO line itself, ``%name = shape
opcode(operands), attributes``, so that names and shapes are kept once.

Two texts, for the first picture must not wait for what is read only of a selected op. Lists
run over ops, boxes or shapes; strings that repeat are numbers into a list of them.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from edgegraph.base.shown import shown
from edgegraph.hlo.text import argument_text, attributes_text
from edgegraph.reporting.scene.hierarchy import nest
from edgegraph.reporting.scene.items import Ops, ops_of
from edgegraph.reporting.scene.layout import Placed, Shape, lay_out_all
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord
from edgegraph.results.code import line_of_code
from edgegraph.results.compiled_together import WhatIf, what_if

_KINDS = ("scope", "run", "op")

_COUNTS = ("executions", "macs", "flops", "transcendentals", "bytes_read", "bytes_written")
_TIMES = ("compute_time_s", "memory_time_s", "time_s")
_OP_WORDS = ("opcode", "shape", "bound", "time_source", "roof", "level")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What drawing and tables show, and HLO texts beside it: both base64 of gzip of JSON."""

    scene: str
    texts: str


def pack(analysis: Analysis, marks: Mapping[tuple[str, str], str] | None = None) -> Packed | None:
    """Write the scene of an analysis, None if it has no ops; layers in `marks` are framed."""
    if not analysis.op_records:
        return None
    ops = ops_of(analysis)
    placed = lay_out_all(nest(ops.items, title=analysis.workload))
    scene = {
        "boxes": _boxes(placed),
        "shapes": [_shape(shape) for shape in {id(p.shape): p.shape for p in placed}.values()],
        "ops": _ops(analysis.op_records, ops),
        "rows": _rows(analysis.layer_records, what_if(analysis.layer_records)),
        "marks": {
            number: marks[row.layer, row.phase]
            for number, row in enumerate(analysis.layer_records)
            if marks and (row.layer, row.phase) in marks
        },
    }
    return Packed(scene=_compressed(scene), texts=_compressed(_texts(analysis, ops)))


def _compressed(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Without a time of writing the same scene is the same text.
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _column(values: Iterable[str | None]) -> dict[str, Any]:
    """Number the distinct values of a column."""
    words: dict[str | None, int] = {}
    numbers = [words.setdefault(value, len(words)) for value in values]
    return {"words": [word and shown(word, keep="\n") for word in words], "of": numbers}


def _brief(value: float | None) -> float | None:
    """Keep as many digits as anybody reads."""
    return None if value is None else float(f"{value:.5g}")


def _boxes(placed: Sequence[Placed]) -> dict[str, Any]:
    shapes: dict[int, int] = {}
    return {
        "kind": [_KINDS.index(p.box.kind) for p in placed],
        "title": [None if p.box.op is not None else shown(p.box.title) for p in placed],
        "parent": [-1 if p.parent is None else p.parent for p in placed],
        "op": [-1 if p.box.op is None else p.box.op for p in placed],
        "rows": {at: p.box.rows for at, p in enumerate(placed) if p.box.rows},
        "part": {at: (p.box.part, p.box.parts) for at, p in enumerate(placed) if p.box.parts > 1},
        "shape": [shapes.setdefault(id(p.shape), len(shapes)) for p in placed],
        # What a line shows, next to its group's shape: the op whose value it carries, and how
        # many values do.
        "lines": [
            [number for line in p.box.lines for number in (line.op, line.values)]
            for p in placed
            if p.box.lines
        ],
    }


def _shape(shape: Shape) -> dict[str, Any]:
    layout = shape.layout
    if layout is None:
        return {"size": shape.size}
    return {
        "size": shape.size,
        "scale": shape.scale,
        "left": shape.left,
        "top": shape.top,
        "places": [number for box in layout.boxes for number in box],
        "lines": [
            number
            for (source, target), bends in zip(shape.lines, layout.bends, strict=True)
            for number in (source, target, bends)
        ],
        "lanes": {
            source: [number for lane in lanes for number in lane]
            for source, lanes in layout.lanes.items()
        },
    }


def _ops(records: Sequence[OpRecord], ops: Ops) -> dict[str, Any]:
    columns: dict[str, Any] = {"name": [shown(record.name) for record in records]}
    for name in _OP_WORDS:
        columns[name] = _column(getattr(record, name) for record in records)
    for name in _COUNTS:
        columns[name] = [getattr(record, name) for record in records]
    for name in _TIMES:
        columns[name] = [_brief(getattr(record, name)) for record in records]
    columns["on_chip_bytes"] = [record.on_chip_bytes or 0 for record in records]
    columns["row"] = [-1 if row is None else row for row in ops.rows]
    columns["parent"] = [-1 if item.parent is None else item.parent for item in ops.items]
    columns["outer"] = [-1 if outer is None else outer for outer in ops.outer]
    # Most ops read what came shortly before them, so distances repeat where numbers do not.
    columns["operands"] = [
        [number - operand for operand in item.operands] for number, item in enumerate(ops.items)
    ]
    return columns


def _rows(rows: Sequence[LayerRecord], at_roof: Iterable[WhatIf]) -> list[dict[str, Any]]:
    gains = {(each.layer, each.phase): each.gain_share for each in at_roof}
    return [
        {
            field.name: _cell(value)
            for field in fields(LayerRecord)
            if (value := getattr(row, field.name)) is not None
        }
        | {"gain_share": _brief(gains.get((row.layer, row.phase)))}
        for row in rows
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    return _brief(value) if isinstance(value, float) else value


def _texts(analysis: Analysis, ops: Ops) -> dict[str, Any]:
    records, made_at = analysis.op_records, analysis.environment.created_at
    instructions = [node.instruction for node in ops.nodes]
    lines = {source: _line(source, made_at) for source in {record.source for record in records}}
    return {
        "op_name": _column(record.op_name for record in records),
        "source": _column(record.source for record in records),
        "line": _column(lines[record.source] for record in records),
        "attributes": _column(map(attributes_text, instructions)),
        "argument": _column(map(argument_text, instructions)),
    }


def _line(source: str | None, made_at: str) -> str | None:
    """Return the line that stands at ``file:line``, where it is at hand."""
    file, _, line = (source or "").rpartition(":")
    text = line_of_code(file, int(line), made_at) if file and line.isdecimal() else None
    return text and shown(text)
