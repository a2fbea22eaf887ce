"""The graph for other graph tools: GraphML and DOT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgegraph.atomic import replacing
from edgegraph.report.palette import bound_colour
from edgegraph.results.analysis import Analysis, OpRecord
from edgegraph.units import seconds, si

if TYPE_CHECKING:
    import networkx as nx


def write_graphml(analysis: Analysis, path: Path) -> None:
    """Write every op with its figures as attributes; what is unknown is left out."""
    import networkx as nx

    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for name, attributes in analysis.graph.nodes(data=True):
        plain.add_node(_printable(name), **_plain(attributes))
    for source, target, key, attributes in analysis.graph.edges(keys=True, data=True):
        plain.add_edge(_printable(source), _printable(target), key=str(key), **_plain(attributes))
    with replacing(path) as temporary:
        nx.write_graphml(plain, temporary)


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _printable(value) if isinstance(value, str) else value
        for key, value in attributes.items()
        if isinstance(value, (str, int, float, bool))
    }


def _printable(text: str) -> str:
    """Leave out what XML has no character for."""
    return "".join(character for character in text if character.isprintable())


def write_dot(analysis: Analysis, path: Path) -> None:
    """Write the ops as nested boxes: containers, and inside them what they run."""
    with replacing(path) as temporary:
        temporary.write_text(dot(analysis), "utf-8")


def dot(analysis: Analysis) -> str:
    """Return the graph in Graphviz's language."""
    inside = analysis.op_tree.contents
    lines = [
        f"digraph {_quoted(analysis.workload)} {{",
        '  node [shape=box, style=filled, fillcolor=white, fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=8, color="#6d7781"];',
        "  compound=true;",
    ]
    lines += _boxes(inside)
    first = {name: _first(name, inside) for name in inside if name is not None}
    for source, target, attributes in analysis.graph.edges(data=True):
        ends = [first.get(end, end) for end in (source, target)]
        label = _quoted(str(attributes["shape"]))
        lines.append(f"  {_quoted(ends[0])} -> {_quoted(ends[1])} [label={label}];")
    return "\n".join([*lines, "}"]) + "\n"


def _boxes(inside: Mapping[str | None, Sequence[OpRecord]]) -> list[str]:
    """Write every op once, containers as clusters; nesting in a file must not exhaust a stack."""
    lines: list[str] = []
    waiting: list[OpRecord | str] = list(reversed(inside.get(None, ())))
    while waiting:
        record = waiting.pop()
        if isinstance(record, str):
            lines.append(record)
        elif record.name in inside:
            lines.append(f"  subgraph {_quoted('cluster ' + record.name)} {{")
            lines.append(f"  label={_quoted(_label(record))}; color={_quoted('#8c959f')};")
            waiting.append("  }")
            waiting += reversed(inside[record.name])
        else:
            colour = _quoted(bound_colour(record.bound))
            lines.append(
                f"  {_quoted(record.name)} [label={_quoted(_label(record))}, color={colour}];"
            )
    return lines


def _first(name: str, inside: Mapping[str | None, Sequence[OpRecord]]) -> str:
    """Edges end at ops, not at clusters: name the last op inside a container, its result."""
    while name in inside:
        name = inside[name][-1].name
    return name


def _label(record: OpRecord) -> str:
    parts = [f"{record.opcode} {record.name}", record.shape]
    if record.flops:
        parts.append(si(record.flops, "FLOP"))
    if record.time_s is not None and record.bound is not None:
        mark = "~" if record.time_source == "estimated" else ""
        parts.append(mark + seconds(record.time_s))
    return "\n".join(parts)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
