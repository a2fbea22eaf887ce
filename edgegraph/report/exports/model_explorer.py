"""The graph for Model Explorer, and what colours its nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgegraph.atomic import replacing
from edgegraph.report.palette import BOUND_COLOURS, PAPER
from edgegraph.results.analysis import Analysis, OpRecord
from edgegraph.units import percent, seconds, si

GRAPH = "hlo"


def write_graph(analysis: Analysis, path: Path) -> None:
    """Write the graph: layers and containers as namespaces, edges with their shapes."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(graph(analysis)), "utf-8")


def write_node_data(analysis: Analysis, path: Path) -> None:
    """Write the best known time of every op, in microseconds, with a gradient to show it."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(node_data(analysis)), "utf-8")


def graph(analysis: Analysis) -> dict[str, Any]:
    """Return the graph in Model Explorer's JSON form."""
    edges: dict[str, list[dict[str, str]]] = {}
    shapes: dict[str, str] = {record.name: record.shape for record in analysis.op_records}
    for source, target, position in analysis.graph.edges(keys=True):
        edges.setdefault(target, []).append(
            {"sourceNodeId": source, "sourceNodeOutputId": "0", "targetNodeInputId": str(position)}
        )
    nodes = [
        {
            "id": record.name,
            "label": record.opcode,
            "namespace": _namespace(record),
            "attrs": [{"key": key, "value": value} for key, value in _attributes(record).items()],
            "incomingEdges": edges.get(record.name, []),
            "outputsMetadata": [
                {"id": "0", "attrs": [{"key": "tensor_shape", "value": shapes[record.name]}]}
            ],
        }
        for record in analysis.op_records
    ]
    layers = {
        row.layer: {
            "MACs": si(row.macs),
            "FLOP": si(row.flops),
            "time": seconds(row.time_s),
            "share": percent(row.share),
            "bound": row.bound or "",
        }
        for row in analysis.layer_records
        if row.phase == "forward"
    }
    return {
        "label": analysis.workload,
        "graphs": [{"id": GRAPH, "nodes": nodes, "groupNodeAttributes": layers}],
    }


def node_data(analysis: Analysis) -> dict[str, Any]:
    """Return the times in Model Explorer's node data form."""
    results = {
        record.name: {"value": record.time_s * 1e6}
        for record in analysis.op_records
        if record.time_s is not None and record.bound is not None
    }
    gradient = [{"stop": 0, "bgColor": PAPER}, {"stop": 1, "bgColor": BOUND_COLOURS["memory"]}]
    return {GRAPH: {"name": "time (µs)", "results": results, "gradient": gradient}}


def _namespace(record: OpRecord) -> str:
    """Scopes of the model; below them, the containers that the op runs in."""
    layer = record.layer or ""
    if record.phase != "forward":
        layer = f"{record.phase}/{layer}".rstrip("/")
    return layer


def _attributes(record: OpRecord) -> dict[str, str]:
    moved = None
    if record.bytes_read is not None and record.bytes_written is not None:
        moved = record.bytes_read + record.bytes_written
    known = {
        "name": record.name,
        "shape": record.shape,
        "runs in": record.parent,
        "MACs": si(record.macs) if record.macs else None,
        "FLOP": si(record.flops),
        "bytes": si(moved, "B"),
        "bound": record.bound,
        "time": None if record.time_s is None else seconds(record.time_s),
        "time source": record.time_source,
        "source": record.source,
    }
    return {key: value for key, value in known.items() if value is not None}
