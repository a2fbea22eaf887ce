"""From an analysis to the files of other tools, one small writer for each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from edgegraph.base.files import replacing, safe_csv
from edgegraph.base.shown import shown
from edgegraph.base.units import seconds, si
from edgegraph.errors import InputError
from edgegraph.reporting.answer import headline
from edgegraph.reporting.palette import BOUND_COLOURS, PAPER, bound_colour
from edgegraph.reporting.views import in_view
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord
from edgegraph.results.columns import columns_of, rows
from edgegraph.results.document import document, schema
from edgegraph.results.op_trace import thread_names, trace_event
from edgegraph.results.records import ALL_PHASES
from edgegraph.results.schedule import Schedule

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


SHOWN = columns_of(
    LayerRecord, "params", "macs", "flops", "bytes", "intensity_flops_per_byte", "bound", "time_s",
    "share",
)  # fmt: skip
HEADINGS = tuple(column.heading for column in SHOWN.values())
_LEFT = [column.dtype == "string" for column in SHOWN.values()]

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "µ": r"$\mu$", "≥": r"$\geq$",
}  # fmt: skip


def write_frame(frame: pd.DataFrame, path: Path, *, parquet: bool = False) -> None:
    """Write any frame without its index, as CSV or as Parquet."""
    with replacing(path) as temporary:
        if not parquet:
            frame = _without_formulas(frame) if safe_csv.get() else frame
            frame.to_csv(temporary, index=False)
            return
        try:
            frame.to_parquet(temporary, index=False)
        except ImportError as error:
            raise InputError(
                f"writing {path} needs pyarrow, which this Python does not have; run pip install"
                " pyarrow"
            ) from error


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How text begins that spreadsheets run."""


def _without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts are text to a spreadsheet, too: an apostrophe says so."""

    def text(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

    marked: pd.DataFrame = frame.apply(
        lambda column: column.map(text) if column.dtype.kind == "O" else column
    )
    return marked


def markdown(analysis: Analysis) -> str:
    """Return the layers as a Markdown table, with the headline above it."""
    head = markdown_row([analysis.view, *HEADINGS])
    lines = [f"**{markdown_text(headline(analysis))}**", "", head]
    lines.append("|---|" + "".join("---|" if left else "--:|" for left in _LEFT))
    for row in in_view(analysis, everything=False).layer_records:
        name = "&nbsp;&nbsp;" * row.depth + markdown_text(_name(row))
        lines.append(markdown_row([name, *_cells(row)]))
    return "\n".join(lines) + "\n"


def latex(analysis: Analysis) -> str:
    """Return the layers as a LaTeX tabular, for the package booktabs."""
    lines = [
        f"% {shown(headline(analysis))}",
        rf"\begin{{tabular}}{{l{''.join('l' if left else 'r' for left in _LEFT)}}}",
        r"\toprule",
        " & ".join(map(_latex, [analysis.view, *HEADINGS])) + r" \\",
        r"\midrule",
    ]
    for row in in_view(analysis, everything=False).layer_records:
        name = rf"\hspace{{{row.depth}em}}" * bool(row.depth) + _latex(_name(row))
        lines.append(" & ".join([name, *map(_latex, _cells(row))]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _name(row: LayerRecord) -> str:
    last = row.layer.rpartition("/")[2]
    return last if row.phase in ("forward", ALL_PHASES) else f"{last} ({row.phase})"


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
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", shown(" ".join(text.split())))


def _latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(character, character) for character in shown(text))


def write_graphml(analysis: Analysis, path: Path) -> None:
    """Write every op with its figures as attributes; what is unknown is left out."""
    import networkx as nx

    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for name, attributes in analysis.graph.nodes(data=True):
        plain.add_node(shown(name), **_plain(attributes))
    for source, target, key, attributes in analysis.graph.edges(keys=True, data=True):
        plain.add_edge(shown(source), shown(target), key=str(key), **_plain(attributes))
    with replacing(path) as temporary:
        nx.write_graphml(plain, temporary)


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: shown(value) if isinstance(value, str) else value
        for key, value in attributes.items()
        if isinstance(value, (str, int, float, bool))
    }


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
    text = shown(text, keep="\n").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'


GRAPH = "hlo"
_OP_FIGURES = columns_of(OpRecord, "macs", "flops", "bytes", "bound", "time_s")
_LAYER_FIGURES = columns_of(LayerRecord, "macs", "flops", "time_s", "share", "bound")


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
            column.heading: column.text(getattr(row, name))
            for name, column in _LAYER_FIGURES.items()
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
    figures = {
        column.heading: column.cell(getattr(record, name)) for name, column in _OP_FIGURES.items()
    }
    known = {
        "name": record.name,
        "shape": record.shape,
        "runs in": record.parent,
        **figures,
        "time source": record.time_source,
        "source": record.source,
    }
    return {key: value for key, value in known.items() if value}


def write_trace(analysis: Analysis, path: Path) -> None:
    """Write the op trace; where none was taken, the schedule with the ops' best known times."""
    if analysis.op_trace is not None:
        analysis.op_trace.save_chrome_trace(path)
        return
    if analysis.schedule is None:
        raise InputError(
            f"{analysis.workload!r} has no timeline: at stage {analysis.stage!r} its ops are in no"
            " order, which the compiler gives them; analyse it at stage 'optimized'"
        )
    if not analysis.schedule.makespan_s:
        device = "" if analysis.device is None else f" on {analysis.device.name}"
        raise InputError(
            f"{analysis.workload!r} has no timeline: it was not traced, and the times of its ops"
            f"{device} are not known; measure it, or give it {'another' if device else 'a'} device"
        )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(schedule_trace(analysis, analysis.schedule)), "utf-8")


def schedule_trace(analysis: Analysis, schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as trace events, one thread for each lane; times in microseconds."""
    shown = ("opcode", "layer", "phase", "shape", "source", "flops", "time_source")
    names = [record.name for record in analysis.op_records]
    known = dict(zip(names, rows(analysis.op_records, shown), strict=True))
    lanes = list(dict.fromkeys(op.lane for op in schedule.ops))
    events = [
        trace_event(
            op.name, lanes.index(op.lane), op.begin_s, op.duration_s, known[op.name],
            cat=known[op.name]["opcode"],
        )
        for op in schedule.ops
    ]  # fmt: skip
    return {"traceEvents": [*thread_names(lanes), *events], "displayTimeUnit": "ns"}


class Export(NamedTuple):
    """One format: what names of such files end in, and what writes an analysis to a path."""

    suffix: str
    write: Callable[[Analysis, Path], None]


def _text(make: Callable[[Analysis], str]) -> Callable[[Analysis, Path], None]:
    """Return a writer of what that makes."""

    def write(analysis: Analysis, path: Path) -> None:
        with replacing(path) as temporary:
            temporary.write_text(make(analysis), "utf-8")

    return write


EXPORTS = {
    "csv": Export(".csv", lambda a, path: write_frame(a.by(a.view), path)),
    "ops-csv": Export(".ops.csv", lambda analysis, path: write_frame(analysis.ops, path)),
    "parquet": Export(".parquet", lambda a, path: write_frame(a.ops, path, parquet=True)),
    "markdown": Export(".md", _text(markdown)),
    "latex": Export(".tex", _text(latex)),
    "json": Export(".json", _text(lambda a: msgspec.json.encode(document(a, ops=True)).decode())),
    "schema": Export(".schema.json", _text(lambda analysis: json.dumps(schema(), indent=2))),
    "graphml": Export(".graphml", write_graphml),
    "dot": Export(".dot", _text(dot)),
    "model-explorer": Export(".model-explorer.json", _text(lambda a: json.dumps(graph(a)))),
    "model-explorer-data": Export(".node-data.json", _text(lambda a: json.dumps(node_data(a)))),
    "chrome-trace": Export(".trace.json", write_trace),
}
"""By name; of several suffixes that fit a path, the longest counts."""


def export(analysis: Analysis, path: str | Path, format: str | None = None) -> Path:
    """Write an analysis for another tool, in one of `EXPORTS`; by the path's ending where None."""
    path = Path(path)
    EXPORTS[format or format_of(path)].write(analysis, path)
    return path


def format_of(path: Path) -> str:
    """Name the format that a path's ending asks for; of several that fit, the longest counts."""
    fitting = [name for name, kind in EXPORTS.items() if path.name.endswith(kind.suffix)]
    if not fitting:
        endings = ", ".join(kind.suffix for kind in EXPORTS.values())
        raise InputError(f"cannot tell the format of {path}; choose a name that ends in {endings}")
    return max(fitting, key=lambda name: len(EXPORTS[name].suffix))
