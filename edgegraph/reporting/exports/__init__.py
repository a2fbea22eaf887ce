"""From an analysis to the files of other tools, one small writer for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgegraph.errors import InputError
from edgegraph.reporting.exports import graphs, tables
from edgegraph.reporting.exports import graphs as model_explorer
from edgegraph.reporting.exports import graphs as trace
from edgegraph.reporting.exports import tables as json_document
from edgegraph.results.analysis import Analysis


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One format.

    Attributes:
        suffix: What names of such files end in.
        write: Writes an analysis to a path, atomically.
        about: What it is for.
    """

    suffix: str
    write: Callable[[Analysis, Path], None]
    about: str


EXPORTS = {
    "csv": Export(suffix=".csv", write=tables.write_csv, about="layers, for spreadsheets"),
    "ops-csv": Export(suffix=".ops.csv", write=tables.write_ops_csv, about="every op"),
    "parquet": Export(suffix=".parquet", write=tables.write_parquet, about="every op, typed"),
    "markdown": Export(
        suffix=".md", write=tables.write_markdown, about="layers, for a pull request"
    ),
    "latex": Export(suffix=".tex", write=tables.write_latex, about="layers, for a paper"),
    "json": Export(suffix=".json", write=json_document.write_json, about="everything"),
    "schema": Export(
        suffix=".schema.json", write=json_document.write_schema, about="JSON Schema of json"
    ),
    "graphml": Export(
        suffix=".graphml", write=graphs.write_graphml, about="the graph, for networkx, yEd, Gephi"
    ),
    "dot": Export(suffix=".dot", write=graphs.write_dot, about="the graph, for Graphviz"),
    "model-explorer": Export(
        suffix=".model-explorer.json",
        write=model_explorer.write_graph,
        about="the graph, for Model Explorer",
    ),
    "model-explorer-data": Export(
        suffix=".node-data.json",
        write=model_explorer.write_node_data,
        about="the time of every node, for Model Explorer",
    ),
    "chrome-trace": Export(
        suffix=".trace.json", write=trace.write_trace, about="the timeline, for Perfetto"
    ),
}
"""By name; of several suffixes that fit a path, the longest counts."""


def export(analysis: Analysis, path: str | Path, format: str | None = None) -> Path:
    """Write an analysis in the format of another tool.

    Args:
        analysis: Any analysis.
        path: The file.
        format: One of `EXPORTS`; by the path's ending where None.

    Returns:
        The path written.

    Raises:
        InputError: There is no such format or ending, the analysis lacks what the format shows,
            or the folder cannot be written.
    """
    path = Path(path)
    EXPORTS[format or format_of(path)].write(analysis, path)
    return path


def format_of(path: Path) -> str:
    """Name the format that a path's ending asks for.

    Raises:
        InputError: None has that ending.

    Example:
        >>> format_of(Path("a.csv")), format_of(Path("a.ops.csv"))
        ('csv', 'ops-csv')
    """
    fitting = [name for name, kind in EXPORTS.items() if path.name.endswith(kind.suffix)]
    if not fitting:
        endings = ", ".join(kind.suffix for kind in EXPORTS.values())
        raise InputError(f"cannot tell the format of {path}; choose a name that ends in {endings}")
    return max(fitting, key=lambda name: len(EXPORTS[name].suffix))
