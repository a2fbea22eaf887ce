"""What changed between two analyses, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from edgegraph.hlo import opcodes
from edgegraph.results.base import Shown
from edgegraph.results.columns import RATIO, TEXT, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.kinds import presenter_of, provided
from edgegraph.results.records import LayerRecord

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from edgegraph.results.analysis import Analysis

_Figures = TypeVar("_Figures")

ADDED = "added"
REMOVED = "removed"
CHANGED = "changed"
FUSED = "fused differently"
REWIRED = "rewired"
SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One of the two sides: what was analysed, how, and where.

    Attributes:
        workload, batch, target, stage, options: As on `Analysis`.
        dtypes: Number types of the products, the most MACs first.
        device: Name of the device whose roofs were used, or None.
        jax, jaxlib, machine: Versions, and the processor with its cores.
        created_at: When it was analysed.
        ops: Executed instructions, containers not counted.
    """

    workload: str
    batch: int | None
    target: str
    stage: str
    options: Mapping[str, str | int | float | bool]
    dtypes: tuple[str, ...]
    device: str | None
    jax: str
    jaxlib: str
    machine: str
    created_at: str
    ops: int

    @property
    def title(self) -> str:
        """Name it in a few words: ``small_cnn, batch 32, cpu``."""
        batch = "" if self.batch is None else f", batch {self.batch}"
        stage = "" if self.stage == "optimized" else f", {self.stage}"
        return f"{self.workload}{batch}, {self.target}{stage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One respect in which programs or ops differ.

    Attributes:
        name: Which: the batch size, an option; ``shape``, ``dtype``, ``flops``, ``fused ops``, ...
        before, after: What it is on either side.
    """

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of the whole program, before and after.

    Attributes:
        name: As on `Totals`, or ``latency_s``, ``peak_memory_bytes``, ``temp_bytes``, ...
        unit: ``FLOP``, ``MAC``, ``B``, ``s``, or "" for a plain count.
        before, after: None where unknown.
        noise: Of a time: differences up to this are none.
        verdict: Of a time: ``faster``, ``slower``, ``no difference``, ``NOISY``, or ``estimated``
            where nothing was measured. None for everything else.
    """

    name: str
    unit: str
    before: float | int | None
    after: float | int | None
    noise: float | None = None
    verdict: str | None = None

    @property
    def difference(self) -> float | int | None:
        """After less before; None where either is unknown."""
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

    @property
    def change(self) -> float | None:
        """The difference over what was before; None where that is 0 or unknown."""
        difference = self.difference
        return None if difference is None or not self.before else difference / self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFigures:
    """What a layer comes to on one side; columns as on `LayerRecord`.

    Attributes:
        peak_bytes: Bytes of what the layer made and is alive at the program's peak, on the
            layer's first row; None where the program is not scheduled.
    """

    layer: str
    ops: int
    params: int | None
    param_bytes: int | None
    macs: int | None
    flops: int | None
    transcendentals: int | None
    bytes_read: int | None
    bytes_written: int | None
    peak_bytes: int | None
    compute_time_s: float | None
    memory_time_s: float | None
    bound: str | None
    time_s: float | None
    time_source: str | None

    @property
    def bytes(self) -> int | None:
        """Bytes read and written."""
        if self.bytes_read is None or self.bytes_written is None:
            return None
        return self.bytes_read + self.bytes_written


COUNTED = (
    "params", "param_bytes", "macs", "flops", "transcendentals", "bytes_read", "bytes_written",
)  # fmt: skip
"""Figures of a layer that follow from the program alone."""


class _Change(Generic[_Figures]):
    """Figures of one thing before and after; one of the two sides may not be there."""

    __slots__ = ()
    before: _Figures | None
    after: _Figures | None

    @property
    def present(self) -> _Figures:
        """The figures after, or before where it was removed."""
        return cast(_Figures, self.after or self.before)

    def both(self, name: str) -> tuple[Any, Any]:
        """Return one figure before and after; None where that side is not there."""
        sides = self.before, self.after
        before, after = (None if side is None else getattr(side, name) for side in sides)
        return before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange(_Change[LayerFigures]):
    """One layer in one phase, before and after; inclusive of the layers below it.

    Attributes:
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        depth, leaf: As on `LayerRecord`, after where it is there.
        aligned_by: How the two were found to be each other's counterpart: by ``path``, ``name``,
            ``signature`` or ``order``; None where one side is missing.
        before, after: Its figures; None where it is not there.
        op_changes: Ops in it and below that changed.
        noise_s: Differences of the times up to this are none; None where not measured twice.
        time_verdict: As `Figure.verdict`; None where a time is unknown, or where one is measured
            and the other is not.
    """

    phase: str
    depth: int
    leaf: bool
    aligned_by: str | None
    before: LayerFigures | None
    after: LayerFigures | None
    op_changes: int = 0
    noise_s: float | None = None
    time_verdict: str | None = None

    @property
    def layer(self) -> str:
        """Its path after, or before where it was removed."""
        return self.present.layer

    @property
    def kind(self) -> str:
        """``added``, ``removed``, ``changed`` or ``same``; times make no difference."""
        if self.before is None:
            return ADDED
        if self.after is None:
            return REMOVED
        differs = any(getattr(self.before, name) != getattr(self.after, name) for name in COUNTED)
        return CHANGED if differs or self.op_changes else SAME


@dataclass(frozen=True, slots=True, kw_only=True)
class OpFigures:
    """One op, or several that became others, on one side; costs are their sums.

    Attributes:
        names: Names of the ops in the graph.
        opcode: The opcode; several joined by commas.
        shape: Of the result; several joined by commas.
        layer: Scope of the model, or None.
        macs, flops, bytes, time_s: As on `OpRecord`; None where one is unknown.
        time_source: As on `OpRecord`; None where they differ.
    """

    names: tuple[str, ...]
    opcode: str
    shape: str
    layer: str | None
    macs: int | None
    flops: int | None
    bytes: int | None
    time_s: float | None
    time_source: str | None

    @property
    def computed(self) -> int:
        """How many of them something has to compute: all but parameters and constants."""
        return 0 if self.opcode in opcodes.GIVEN else len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpChange(_Change[OpFigures]):
    """Ops that were added, removed, changed, fused differently, or are wired differently.

    Attributes:
        kind: ``added``, ``removed``, ``changed``; ``fused differently``: other kernels hold the
            ops that these held; ``rewired``: the op is the same, but takes other operands.
        phase: Phase of the first op.
        before, after: The ops; None where there are none.
        facets: In which respects they differ.
    """

    kind: str
    phase: str
    before: OpFigures | None
    after: OpFigures | None
    facets: tuple[Facet, ...] = ()

    @property
    def layer(self) -> str | None:
        """The layer after, or before where it was removed."""
        return self.present.layer


@dataclass(frozen=True, kw_only=True, repr=False)
class Diff(Shown):
    """What changed from one analysis to another.

    Attributes:
        before, after: What was compared.
        settings: What was set differently.
        figures: The whole program, one figure after the other.
        layer_changes: Every layer of either side, in the order of the model, phases apart.
        op_changes: The ops that are not the same, in the order of execution.
        same_ops: Ops that are.
        notes: What could not be compared, and why, one line each.
    """

    before: Subject
    after: Subject
    settings: tuple[Facet, ...]
    figures: tuple[Figure, ...]
    layer_changes: tuple[LayerChange, ...]
    op_changes: tuple[OpChange, ...]
    same_ops: int
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether both programs do the same: no op and no layer's counts differ.

        Names, the order of independent ops, memory that follows from it, and times make no
        difference; `figures` tells those.
        """
        return not self.op_changes and all(row.kind == SAME for row in self.layer_changes)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per layer and phase: its change, then every figure before and after."""
        sides = _sides(LayerFigures)
        columns = {
            **dict.fromkeys(("layer", "layer_before", "phase"), TEXT),
            "change": _KIND,
            **columns_of(LayerChange, "aligned_by", "op_changes"),
            **sides,
            **columns_of(LayerChange, "noise_s", "time_verdict", "depth", "leaf"),
        }
        rows = self.layer_changes
        return frame(
            rows,
            columns,
            layer_before=[row.before.layer if row.before else None for row in rows],
            **_both_sides(rows, sides),
        )

    @cached_property
    def ops(self) -> pd.DataFrame:
        """One row per change of ops: its kind and layer, in what they differ, before and after."""
        sides = _sides(OpFigures)
        columns = {
            "change": _KIND,
            **dict.fromkeys(("layer", "phase", "differs_in", "before", "after"), TEXT),
            **sides,
        }
        rows = self.op_changes
        return frame(
            rows,
            columns,
            differs_in=[", ".join(facet.name for facet in row.facets) for row in rows],
            before=[", ".join(row.before.names) if row.before else None for row in rows],
            after=[", ".join(row.after.names) if row.after else None for row in rows],
            **_both_sides(rows, sides),
        )

    @cached_property
    def totals(self) -> pd.DataFrame:
        """One row per figure of the whole: ``before after difference change noise verdict``."""
        numbers = ("before", "after", "difference", "change", "noise")
        columns = {
            **columns_of(Figure, "name", "unit"),
            **dict.fromkeys(numbers, RATIO),
            **columns_of(Figure, "verdict"),
        }
        return frame(self.figures, columns).set_index("name")

    def to_html(self, path: str | Path, *compared: Analysis) -> Path:
        """Write its page; given both that were compared, with their graphs, and marks in them.

        Raises:
            InputError: The path cannot be written.
        """
        if not compared:
            return super().to_html(path)
        written: Path = provided("diff_page")(self, *compared, path)
        return written

    def to_markdown(self) -> str:
        """Return it as Markdown, for a pull request."""
        text: str = presenter_of(self).markdown(self)
        return text


_same = columns_of(LayerRecord, *columns_of(LayerFigures).keys() - {"peak_bytes"})
in_document(LayerFigures, columns_of(LayerFigures) | _same)
in_document(LayerChange, more=["layer", "kind"])
in_document(Diff, more=["empty"])


_KIND = replace(TEXT, name="kind")


def _sides(figures: type) -> dict[str, Column]:
    """Return two columns for each figure, ``name_before`` and ``name_after``."""
    return {
        f"{name}_{side}": column
        for name, column in columns_of(figures).items()
        if name != "layer"
        for side in ("before", "after")
    }


def _both_sides(
    rows: Sequence[_Change[Any]], columns: Mapping[str, Column]
) -> dict[str, Sequence[Any]]:
    return {
        name: [row.both(column.name)[name.endswith("_after")] for row in rows]
        for name, column in columns.items()
    }
