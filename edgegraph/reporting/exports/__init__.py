"""From an analysis to the files of other tools, one small writer for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgegraph.errors import InputError
from edgegraph.reporting.exports import graphs, tables
from edgegraph.results.analysis import Analysis


class Export(NamedTuple):
    """One format: what names of such files end in, and what writes an analysis to a path."""

    suffix: str
    write: Callable[[Analysis, Path], None]


EXPORTS = {
    "csv": Export(".csv", tables.write_csv),
    "ops-csv": Export(".ops.csv", tables.write_ops_csv),
    "parquet": Export(".parquet", tables.write_parquet),
    "markdown": Export(".md", tables.write_markdown),
    "latex": Export(".tex", tables.write_latex),
    "json": Export(".json", tables.write_json),
    "schema": Export(".schema.json", tables.write_schema),
    "graphml": Export(".graphml", graphs.write_graphml),
    "dot": Export(".dot", graphs.write_dot),
    "model-explorer": Export(".model-explorer.json", graphs.write_graph),
    "model-explorer-data": Export(".node-data.json", graphs.write_node_data),
    "chrome-trace": Export(".trace.json", graphs.write_trace),
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
