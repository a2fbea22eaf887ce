"""What results have in common: they are saved, noted, drawn, exported and shown in one way."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edgegraph.base.shown import shown
from edgegraph.errors import InputError
from edgegraph.results.columns import notebook_table
from edgegraph.results.files import save
from edgegraph.results.form import told
from edgegraph.results.kinds import kind_of, presenter_of, provided, resolve

if TYPE_CHECKING:
    import pandas as pd

    from edgegraph.results.analysis import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What the run database notes about a result besides its content: what it is of, its figures.

    Attributes:
        workload: Its name; those of a comparison of several, joined.
        fingerprint: Digest of the StableHLO that it lowers to; None where it is not known.
        dtype: As a sweep names it, or None.
        error: Why a point of a sweep has no measurement, or None.
        verdict: How sound its measurement is: ``OK``, ``NOISY``, ``INVALID``; None without one.
        metrics: Its figures by name; what is unknown is left out.
    """

    workload: str
    fingerprint: str | None = None
    batch: int | None = None
    dtype: str | None = None
    target: str
    options: Mapping[str, str | int | float | bool]
    environment: Environment
    error: str | None = None
    verdict: str | None = None
    metrics: Mapping[str, float]

    @property
    def machine(self) -> str:
        """Name the machine by what makes measurements comparable."""
        here = self.environment
        return f"{here.processor}, {here.affinity} of {here.cores} cores, {here.platform}"


def numbers(figures: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Return the figures that are known numbers."""
    return {
        name: float(value)
        for name, value in figures
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


class Saved:
    """A result that a file can hold; some kinds have figures."""

    __slots__ = ()

    def save(self, path: str | Path) -> Path:
        """Write it to `path` (usually ``*.edgegraph``), atomically; `edgegraph.load` reads it.

        Returns:
            The path written.

        Raises:
            InputError: The folder does not exist or cannot be written.
        """
        return save(self, path)

    def run_notes(self) -> Notes:
        """Return what the run database notes about it.

        Raises:
            InputError: It has no place there.
        """
        raise InputError(
            "the run database keeps analyses, sweeps, and studies, and no"
            f" {kind_of(self).word}; save it to a file"
        )

    @property
    def parts(self) -> tuple[Self, ...]:
        """What the run database keeps one by one."""
        return (self,)

    def joined(self, parts: Sequence[Self]) -> Self:
        """Return the whole again; `parts` are what the database has of it, this one among them."""
        return self

    def draw(self, figure: str | None = None, ax: Any = None, **size: float) -> Any:
        """Draw one of its figures, its main one where none is named; see `edgegraph.plot`.

        Raises:
            InputError: There is no such figure of such a result, or it lacks what that shows.
        """
        kind = kind_of(self)
        name = self._main_figure if figure is None else figure
        if name not in kind.figures:
            raise InputError(
                f"{name!r} shows another kind of result than this {kind.word}; of such a result"
                f" there is {', '.join(kind.figures) or 'no figure'}"
            )
        return resolve(kind.figures[name])(self, ax, **size)

    @property
    def _main_figure(self) -> str:
        return next(iter(kind_of(self).figures), "")


class Shown(Saved):
    """A result with a presenter: it has a page."""

    __slots__ = ()

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page that shows it; `edgegraph.report` shows several on one.

        Returns:
            The path written.

        Raises:
            InputError: The path cannot be written.
        """
        written: Path = provided("page")([self], path)
        return written

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints of it, as an object of the published schema."""
        return told(self)

    def __repr__(self) -> str:
        """Say in one line what it is; the records themselves are for the frames."""
        return shown(f"<{type(self).__name__} {presenter_of(self).headline(self)}>")

    def _repr_html_(self) -> str:
        """Show the headline and what matters most in a notebook."""
        said: str = presenter_of(self).notebook(self)
        return shown(said, keep="\n")


class Study(Shown):
    """What is made of several programs or measurements."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def frame(self) -> pd.DataFrame:
            """One row for each of what it holds side by side."""

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the study says, in a line each."""
        return ()

    def plot(
        self, ax: Any = None, *, kind: str | None = None, axes: Any = None, **size: float
    ) -> Any:
        """Draw the study.

        Args:
            ax: Where to draw, one or a pair as the figure has panels; a new figure of one paper
                column where None.
            kind: Name of the figure; the study's main one where None.
            axes: The name of `ax` in version 0.1, which version 0.2 drops.
            **size: ``width`` of a new figure, in inches.

        Returns:
            The Axes drawn on, or the pair; ``.figure.savefig("study.pdf")`` of one keeps it.

        Raises:
            InputError: There is no such figure of such a study, or nothing to draw.
        """
        if axes is not None:
            warnings.warn(
                "plot(axes=...) is called plot(ax=...) now; the old name goes with version 0.2",
                DeprecationWarning,
                stacklevel=2,
            )
        return self.draw(kind, axes if ax is None else ax, **size)

    def _repr_html_(self) -> str:
        """Show the rows and the conclusions in a notebook."""
        said = "".join(f"<p>{escape(line)}</p>" for line in self.conclusions)
        head = f"<p><b>{escape(repr(self)[1:-1])}</b></p>"
        return shown(f"{head}{notebook_table(self.frame)}{said}", keep="\n")


class Exportable(Shown):
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

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints of it, as an object of the published schema; without its ops."""
        made: dict[str, Any] = provided("document")(self)
        return made

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
        exports = kind_of(self).exports
        assert exports is not None
        written: Path = resolve(exports)(self, path, format)
        return written
