"""Analyses as the files of other tools, by methods of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from edgegraph.results.analysis import Analysis


class Exportable:
    """What an `Analysis` can be written as; `edgegraph export` does the same.

    Every method writes the file atomically and gives its path, and raises an InputError where the
    folder cannot be written or the analysis lacks what the format shows.

    Example:
        >>> import tempfile, jax, edgegraph as eg
        >>> analysis = eg.analyze(jax.numpy.tanh, args=(jax.ShapeDtypeStruct((8,), "float32"),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     analysis.to_csv(f"{folder}/layers.csv").read_text("utf-8")[:15]
        'layer,phase,ops'
    """

    __slots__ = ()

    def to_csv(self, path: str | Path) -> Path:
        """Write layers as CSV."""
        return self._export(path, "csv")

    def to_ops_csv(self, path: str | Path) -> Path:
        """Write every op as CSV."""
        return self._export(path, "ops-csv")

    def to_parquet(self, path: str | Path) -> Path:
        """Write every op as Parquet (extra ``parquet``)."""
        return self._export(path, "parquet")

    def to_json(self, path: str | Path) -> Path:
        """Write everything but the HLO as JSON, of the published schema."""
        return self._export(path, "json")

    def to_markdown(self, path: str | Path) -> Path:
        """Write the layer table as Markdown, for a pull request."""
        return self._export(path, "markdown")

    def to_latex(self, path: str | Path) -> Path:
        """Write the layer table as LaTeX, for a paper."""
        return self._export(path, "latex")

    def to_graphml(self, path: str | Path) -> Path:
        """Write the graph as GraphML, for networkx, yEd and Gephi."""
        return self._export(path, "graphml")

    def to_dot(self, path: str | Path) -> Path:
        """Write the graph as DOT, for Graphviz."""
        return self._export(path, "dot")

    def to_model_explorer(self, path: str | Path) -> Path:
        """Write the graph for Model Explorer."""
        return self._export(path, "model-explorer")

    def to_chrome_trace(self, path: str | Path) -> Path:
        """Write the timeline as a Chrome trace, for Perfetto."""
        return self._export(path, "chrome-trace")

    def _export(self, path: str | Path, format: str) -> Path:
        from edgegraph.reporting.exports import export

        return export(cast("Analysis", self), path, format)
