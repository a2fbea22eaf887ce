"""Everything as JSON with names, and the schema of that."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Any, get_type_hints

import msgspec

from edgegraph.atomic import replacing
from edgegraph.results import analysis as records
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord, Totals

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
