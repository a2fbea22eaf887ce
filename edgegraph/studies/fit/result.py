"""What a step saves, which plans were tried, and which of them is fastest within the memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from edgegraph.base.shown import shown
from edgegraph.base.units import percent, si
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, Column, columns_of, frame
from edgegraph.results.form import in_document

if TYPE_CHECKING:
    import pandas as pd

    from edgegraph.workload import Workload

ARGUMENT = "argument"
"""Of what is saved: it was given, and is held anyway."""
CONSTANT = "constant"
"""Of what is saved: the step has it from outside of what it differentiates, such as its inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """One value that the forward pass saves for the backward pass.

    Attributes:
        layer: Path of name scopes; None where there is none.
        source: The primitive that makes it, ``argument`` or ``constant``.
        name: What `jax.ad_checkpoint.checkpoint_name` calls it; None where nothing does.
        dtype, shape: Of the value; of a scan, all its iterations together.
        bytes: Its size.
        flops, bytes_moved: What it takes to compute it once more from the arguments and all else
            that is saved, as XLA counts it; 0 of arguments and constants, None where unknown.
        time_s: The same at the device's roofs; None where unknown.
    """

    layer: str | None = None
    source: str
    name: str | None = None
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    flops: Annotated[int | None, Column(heading="FLOPs")] = 0
    bytes_moved: int | None = 0
    time_s: Annotated[float | None, Column(heading="recompute")] = 0.0


NO_PLAN = "as it is"
FULL = "all again"
PLAN = "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """How one or several equal layers run.

    Attributes:
        layer: Path of name scopes of the first of them.
        count: How many there are.
        checkpointed: Whether it runs under `jax.checkpoint`; else it saves what JAX saves.
        kept: What its policy keeps besides what comes in, by name.
        kept_bytes: Saved by each from the forward to the backward pass.
        working_bytes: What each computes again, and holds while its backward pass runs.
        time_s: What each takes longer for it, at the device's roofs.
    """

    layer: str
    count: int
    checkpointed: bool
    kept: tuple[str, ...]
    kept_bytes: int
    working_bytes: int
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPoint:
    """One batch on one mesh, with one plan; figures are of one chip.

    Attributes:
        plan: ``as it is``, ``plan``, or ``all again``: every layer keeps only what comes in.
        batch: Over all chips.
        data, tensor: Sides of the mesh.
        predicted_bytes: From the layers, on the line between what the compiler says of the step as
            it is and with all computed again; None of these two.
        peak_bytes: The compiler's figure; None where it refuses the program.
        predicted_s: The time of the step as it is, and what the plan computes again; None where
            the step as it is does not compile.
        time_s: Of the compiled program: expected on this host, else every op at its roof as the
            schedule has them.
        fits: Whether the compiler's figure is within the limit.
        layers: How they run.
        error: Why it has no figures.
    """

    plan: str
    batch: Annotated[int, COUNT]
    data: int = 1
    tensor: int = 1
    predicted_bytes: Annotated[int | None, Column(heading="predicted")] = None
    peak_bytes: Annotated[int | None, Column(heading="compiler")] = None
    predicted_s: Annotated[float | None, Column(heading="predicted")] = None
    time_s: Annotated[float | None, Column(heading="step")] = None
    fits: bool = False
    layers: tuple[LayerPlan, ...] = ()
    error: str | None = None

    @property
    def mesh(self) -> str:
        """The mesh in words: ``data 4 x tensor 2``."""
        sides = [("data", self.data), ("tensor", self.tensor)]
        return " x ".join(f"{name} {size}" for name, size in sides if size > 1) or "one chip"

    @property
    def throughput_per_s(self) -> Annotated[float | None, Column(heading="per s", write=si)]:
        """Examples per second of all chips together."""
        return self.batch / self.time_s if self.time_s else None

    @property
    def best(self) -> bool:
        """Whether it fits and has figures."""
        return self.fits and self.throughput_per_s is not None


COLUMNS = columns_of(
    PlanPoint, "plan", "batch", "data", "tensor", "predicted_bytes", "peak_bytes", "predicted_s",
    "time_s", "throughput_per_s", "fits", "error",
)  # fmt: skip
"""Of the frame."""

in_document(PlanPoint, COLUMNS | columns_of(PlanPoint, "layers"))


@dataclass(frozen=True, kw_only=True, repr=False)
class Fit(Study):
    """What makes a training step fit into a memory, and what it costs.

    Attributes:
        workload_name: Of the step.
        target: What it was compiled for.
        limit_bytes: The memory of a chip.
        device: One chip.
        environment: Where and with what it was made.
        points: Batches and meshes as they are, with all computed again, and the plans tried.
        residuals: What the step saves as it is, at the smallest batch.
    """

    workload_name: str
    target: str
    limit_bytes: int
    device: Device
    environment: Environment
    points: tuple[PlanPoint, ...]
    residuals: tuple[Residual, ...] = ()

    @property
    def best(self) -> PlanPoint | None:
        """The point of most throughput that fits; None where none does."""
        return max(
            (point for point in self.points if point.best),
            key=lambda point: point.throughput_per_s or 0.0,
            default=None,
        )

    @property
    def workload(self) -> Workload:
        """The step with the best plan applied, for any other study.

        Raises:
            InputError: Nothing fits, or the study was read from a file, which holds no code.
        """
        source = getattr(self, "_source", None)
        if source is None:
            raise InputError("a plan from a file holds no code; use applied_to(workload)")
        return self.applied_to(source)

    def applied_to(self, workload: Workload) -> Workload:
        """Return a step with the best plan applied: the one that was planned, or one like it.

        Raises:
            InputError: Nothing fits; or, when it is traced, the step has other layers.
        """
        from edgegraph.studies.fit.apply import apply_plan

        if self.best is None:
            raise InputError(f"no plan of {self.workload_name} fits; give more memory or chips")
        return apply_plan(workload, self.best.layers)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per point; times are seconds, unknown is NaN or <NA>."""
        return frame(self.points, COLUMNS)

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What it says, in a line or two."""
        best = self.best
        limit = si(self.limit_bytes, "B")
        if best is None:
            return (f"nothing that was tried fits into {limit}",)
        said = (
            f"best: batch {best.batch} on {best.mesh}, {best.plan}:"
            f" {si(best.peak_bytes, 'B')} of {limit}, {si(best.throughput_per_s)} examples/s"
        )
        others = [p for p in self.points if (p.batch, p.mesh) == (best.batch, best.mesh)]
        full = next((p for p in others if p.plan == FULL and p.time_s), None)
        plain = next((p for p in others if p.plan == NO_PLAN and p.time_s), None)
        lines = [said]
        if best.plan == PLAN and full and plain and full.time_s and plain.time_s and best.time_s:
            lines.append(
                f"it takes {percent(best.time_s / plain.time_s - 1)} longer than the step as it"
                f" is, which needs {si(plain.peak_bytes, 'B')}; all again takes"
                f" {percent(full.time_s / plain.time_s - 1)} longer"
            )
        return tuple(lines)

    def __repr__(self) -> str:
        """Name the step and what was found."""
        return f"<Fit {shown(self.workload_name)} on {self.target}: {self.conclusions[0]}>"

    def run_notes(self) -> Notes:
        """Return what the run database notes: the best that fits."""
        best = self.best
        return Notes(
            workload=self.workload_name,
            batch=None if best is None else best.batch,
            target=self.target,
            options={},
            environment=self.environment,
            metrics=numbers(
                (name, getattr(best, name, None))
                for name in ("peak_bytes", "time_s", "throughput_per_s")
            ),
        )


in_document(Fit, more=["conclusions"])
