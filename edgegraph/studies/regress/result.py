"""What a program is under several versions, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from edgegraph.base.shown import shown
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import FASTER, NO_DIFFERENCE, SLOWER
from edgegraph.studies.regress.compile_time import CompileTime

if TYPE_CHECKING:
    import pandas as pd

XLA, JAX, FLAX, BOTH = "XLA", "JAX", "Flax", "JAX and XLA"
JAX_OR_FLAX = "JAX or Flax"
"""Whose change it is, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """The program under one version.

    Attributes:
        version: What it is called: its version of jax.
        packages: Versions of what is installed there, by name.
        python: Version of its Python; None where it did not run.
        options: XLA compiler options.
        lower_s: Seconds to trace and lower, once.
        compile_s: Seconds in XLA's compiler, the median of what was seen.
        kernels: Kernels of the optimised program.
        flops, bytes: What EdgeGraph counts of it; bytes read and written.
        peak_memory_bytes: As on `MemoryUse`.
        compiler_time_s: What a target's compiler expects; None without a target.
        roofline_time_s: What its arithmetic and its data need on a target; None without one.
        lowered: Digest of the StableHLO of the user's source.
        optimized: Digest of the optimised program; names do not count.
        artifact: Digest of what the oldest version's artifact is compiled to; None where it is not.
        timing: Against the first version, by turns; None where it was not timed.
        artifact_timing: The same of the artifact.
        error: Why there are no figures; None where there are.
        artifact_error: Why the artifact was not compiled.
    """

    version: str
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    lower_s: Annotated[float | None, Column(heading="lower")] = None
    compile_s: Annotated[float | None, Column(heading="compile")] = None
    kernels: Annotated[int | None, COUNT] = None
    flops: Annotated[int | None, Column(heading="FLOPs")] = None
    bytes: int | None = None
    peak_memory_bytes: Annotated[int | None, Column(heading="memory")] = None
    compiler_time_s: Annotated[float | None, Column(heading="compiler")] = None
    roofline_time_s: Annotated[float | None, Column(heading="roofline")] = None
    lowered: str | None = None
    optimized: str | None = None
    artifact: str | None = None
    timing: TimingComparison | None = None
    artifact_timing: TimingComparison | None = None
    error: str | None = None
    artifact_error: str | None = None

    @property
    def time_s(self) -> Annotated[float | None, Column(heading="time")]:
        """Median time of a call, where it was timed."""
        return None if self.timing is None else self.timing.second_s

    @property
    def ratio(self) -> float | None:
        """Its time over that of the first version."""
        return None if self.timing is None else self.timing.ratio

    @property
    def verdict(self) -> str | None:
        """Against the first version; None where it was not timed."""
        return None if self.timing is None else self.timing.verdict


ROW_COLUMNS = columns_of(
    VersionRow, "version", "python", "time_s", "ratio", "verdict", "lower_s", "compile_s",
    "kernels", "flops", "bytes", "peak_memory_bytes", "compiler_time_s", "roofline_time_s",
    "lowered", "optimized", "artifact", "error", "artifact_error",
)  # fmt: skip
"""Of the frame."""

in_document(
    VersionRow,
    ROW_COLUMNS | columns_of(VersionRow, "packages", "options", "timing", "artifact_timing"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Something that is set differently: a package, a flag of XLA, a setting of jax, an option.

    Attributes:
        kind: ``package``, ``flag``, ``setting`` or ``option``.
        name: Its name.
        before, after: What it is; None where it is not there.
    """

    kind: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Write it in a few words."""
        before, after = (
            "(none)" if each is None else each or '""' for each in (self.before, self.after)
        )
        return f"{self.name} {before} → {after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShift:
    """A layer before and after; inclusive of the layers below it.

    Attributes:
        layer, phase: As on `LayerRecord`, after where it is there.
        change: ``added``, ``removed``, ``changed`` or ``same``: its ops.
        whose: Whose change its ops are; None where they are the same.
        leaf: Whether no layer is below it.
        before_s, after_s: Its time within the running program; None where it was not traced.
        ratio: After over before, over the processes.
        interval, control_interval: Its confidence interval, and that of the first version against
            itself.
        verdict: ``faster``, ``slower``, ``no difference`` or ``NOISY``; None where not timed.
        what: What differs in its ops, in a few words each.
    """

    layer: str
    phase: str
    change: str
    whose: str | None = None
    leaf: bool = True
    before_s: float | None = None
    after_s: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    control_interval: tuple[float, float] | None = None
    verdict: str | None = None
    what: tuple[str, ...] = ()

    @property
    def growth_s(self) -> float | None:
        """How much longer it takes; None where that is not known."""
        if self.before_s is None and self.after_s is None:
            return None
        return (self.after_s or 0.0) - (self.before_s or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpShift:
    """Ops of a kind in a layer, before and after: what they took in the running program.

    Attributes:
        layer: Their layer, or None.
        before, after: Opcode and shapes; "" where there are none.
        before_s, after_s: Their time in a call; None where not traced.
    """

    layer: str | None
    before: str
    after: str
    before_s: float | None
    after_s: float | None

    @property
    def growth_s(self) -> float:
        """How much longer they take."""
        return (self.after_s or 0.0) - (self.before_s or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One step of the search for the first version that changed.

    Attributes:
        version: What was held against the first.
        changed: Whether it differs from the first; None where that cannot be said.
        why: How that is known: the figures with their interval, or the program itself.
    """

    version: str
    changed: bool | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The smallest part of the program that shows it.

    Attributes:
        layer: Of which it was cut.
        what: The operations that it holds.
        script: A stand-alone script; "" where the cut cannot be written as one of 30 lines.
        hlo: A stand-alone module, before optimisation, as text.
        optimized_before, optimized_after: What the versions make of it.
        timing: Of the case alone, both versions by turns.
    """

    layer: str
    what: str
    script: str
    hlo: str
    optimized_before: str
    optimized_after: str
    timing: TimingComparison | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Regression(Study):
    """One program under several versions, and what changed between two of them.

    Attributes:
        workload: Name of the workload.
        batch: Batch size, or None.
        target: What it was compiled for.
        environment: Where and with what the study was made.
        versions: The rows, the oldest version first.
        before, after: The two versions that were held against each other in detail; None where
            no two have figures.
        timing: Of these two, by turns; None where they were not timed.
        same_program: Whether both make the same optimised program; None where that is not known.
        probes: How the first version that changed was found, step by step.
        began: The first version that changed; None where none did or it is not known.
        whose: Whose change it is; None where nothing changed, or it is not known.
        settings: What is set differently in the two.
        layers: Their layers, those that grew most first.
        ops: Their ops that differ in time or form, those that grew most first.
        case: The smallest part that shows it; None where nothing became slower, or none was found.
        notes: What could not be done, and why, a line each.
        compile_time: What compiling takes in these two, or in the only version; None where it is
            not known.
    """

    workload: str
    batch: int | None
    target: str
    environment: Environment
    versions: tuple[VersionRow, ...]
    before: str | None = None
    after: str | None = None
    timing: TimingComparison | None = None
    same_program: bool | None = None
    probes: tuple[Probe, ...] = ()
    began: str | None = None
    whose: str | None = None
    settings: tuple[Setting, ...] = ()
    layers: tuple[LayerShift, ...] = ()
    ops: tuple[OpShift, ...] = ()
    case: Case | None = None
    notes: tuple[str, ...] = ()
    compile_time: CompileTime | None = None

    def row(self, version: str | None) -> VersionRow | None:
        """Return the row of a version."""
        return next((row for row in self.versions if row.version == version), None)

    @property
    def verdict(self) -> str | None:
        """Of the timing: ``slower``, ``faster``, ``no difference`` or ``NOISY``."""
        return None if self.timing is None else self.timing.verdict

    @property
    def culprit(self) -> LayerShift | None:
        """The innermost layer whose time changed by most, the way that the whole did."""
        moved = [each for each in self.layers if each.leaf and each.verdict == self.verdict]
        if self.verdict not in (SLOWER, FASTER) or not moved:
            return None
        return max(moved, key=lambda each: abs(each.growth_s or 0.0))

    @property
    def culprit_op(self) -> OpShift | None:
        """The ops whose time changed by most, the way that the whole did."""
        sign = {SLOWER: 1, FASTER: -1}.get(self.verdict or "", 0)
        grown = [each for each in self.ops if sign * each.growth_s > 0]
        return max(grown, key=lambda each: abs(each.growth_s), default=None)

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What it says, in a line each."""
        from edgegraph.studies.regress.words import conclusions

        return conclusions(self)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per version; times are seconds, unknown is NaN or <NA>."""
        return frame(self.versions, ROW_COLUMNS)

    @cached_property
    def layer_frame(self) -> pd.DataFrame:
        """One row per layer of the two versions."""
        return frame(self.layers, columns_of(LayerShift))

    def __repr__(self) -> str:
        """Name the workload and what was found."""
        verdict = self.verdict or "not timed"
        return f"<Regression {shown(self.workload)}: {self.before} to {self.after}, {verdict}>"

    def run_notes(self) -> Notes:
        """Return what the run database notes: the ratio of the two versions, and their compiler."""
        after = self.row(self.after)
        figures = numbers(
            (name, getattr(after, name, None))
            for name in ("time_s", "ratio", "compile_s", "kernels", "flops", "peak_memory_bytes")
        )
        sound = {SLOWER: "OK", FASTER: "OK", NO_DIFFERENCE: "OK"}
        return Notes(
            workload=self.workload,
            batch=self.batch,
            target=self.target,
            options={},
            environment=self.environment,
            verdict=None if self.verdict is None else sound.get(self.verdict, "NOISY"),
            metrics=figures,
        )


in_document(Regression, more=["conclusions"])
