"""Read exported graphs by Model Explorer's own types; needs ai-edge-model-explorer.

edgegraph export models.cnn:small_cnn -o small_cnn.model-explorer.json
python scripts/check_model_explorer.py small_cnn.model-explorer.json
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

TYPES = importlib.import_module("model_explorer.graph_builder")


def read(kind: Any, value: Any) -> Any:
    """Make an object of Model Explorer's; it refuses fields that it does not know."""
    if type(None) in get_args(kind):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is list:
        return [read(get_args(kind)[0], each) for each in value]
    if not is_dataclass(kind):
        return value
    hints = get_type_hints(kind, vars(TYPES))
    fields = {name: read(hints.get(name), each) for name, each in value.items()}
    return kind(**fields)  # type: ignore[operator]  # kind is a class


def main(path: Path) -> None:
    """Read every graph of a file, and look for the source of every edge."""
    for found in json.loads(path.read_text("utf-8"))["graphs"]:
        graph = read(TYPES.Graph, found)
        names = {node.id for node in graph.nodes}
        edges = [edge for node in graph.nodes for edge in node.incomingEdges]
        lost = {edge.sourceNodeId for edge in edges} - names
        if lost:
            sys.exit(f"{path}: edges of {graph.id} come from nowhere: {sorted(lost)[:5]}")
        print(f"{path}: {graph.id}, {len(names)} nodes, {len(edges)} edges")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
