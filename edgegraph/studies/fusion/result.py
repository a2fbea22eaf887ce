"""What fusing operations into one kernel brings: the same program with and without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from edgegraph.base.shown import shown
from edgegraph.base.units import percent, seconds, si
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, TEXT, TIME, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import (
    FASTER,
    HELPS,
    HURTS,
    NO_DIFFERENCE,
    NOISY,
    OK,
    SLOWER,
    verdict_of_intervals,
)

if TYPE_CHECKING:
    import pandas as pd

FULL = "full fusion"
WITHOUT_LIBRARY = "without library fusion"
WITHOUT_ANY = "without fusion"

SAME = "same program"

VERDICTS = {FASTER: HELPS, SLOWER: HURTS, NO_DIFFERENCE: NO_DIFFERENCE, NOISY: NOISY}
"""What fusion did, by how the program with it compares to the one without."""


_NOTED = (
    "latency_s", "launches", "fusions", "flops", "bytes", "compute_time_s", "memory_time_s",
    "temp_bytes", "compile_s",
)  # fmt: skip
"""What the run database notes of a rung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RungLayer:
    """One layer of a rung.

    Attributes:
        layer, phase: Which; what is between layers stands at the scope that holds them.
        launches: Launches of kernels that lie in it alone, per call; those that span layers count
            where all of them belong.
        bytes: Bytes that its ops move across kernel borders.
        memory_time_s: What the device needs at least to move them; None without a device.
        time_s: Measured, compiled alone with the rung's options and less the dispatch floor;
            None where it was not.
        interval_s: 95 % confidence interval of it, from the spread between blocks of calls.
        verdict: ``OK``, ``NOISY`` or ``INVALID``; None where it was not measured.
    """

    layer: str
    phase: str
    launches: int
    bytes: int
    memory_time_s: float | None
    time_s: Annotated[float | None, Column(heading="time")] = None
    interval_s: tuple[float, float] | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """The program compiled with a certain amount of fusion.

    Attributes:
        name: ``full fusion``, ``without library fusion`` or ``without fusion``.
        options: Compiler options that make it so.
        same_as: Name of the rung above that compiled to the same program, or None.
        launches: Launches of kernels in one call: one in a loop counts as often as it runs.
        fusions: Those among them of kernels that hold more than one operation.
        flops: FLOPs of one call.
        bytes: Bytes that cross kernel borders.
        compute_time_s, memory_time_s: What the device needs at least; None without a device.
        temp_bytes: Memory that XLA sets aside for intermediates; None if it does not say.
        compile_s: Seconds in XLA's compiler.
        latency_s: Measured latency over all fresh processes, None where it was not measured.
        interval_s: 95 % confidence interval of it, from the spread between processes.
        layers: Its layers, leaves only.
        kernels: Those that the program has, each once however often it runs, as the gate counts;
            None in studies that were saved before these were told from launches.
    """

    name: Annotated[str, Column(heading="program")]
    options: Mapping[str, str | int | float | bool]
    same_as: str | None
    launches: Annotated[int, Column(heading="kernel\nruns", write=str)]
    fusions: int
    flops: Annotated[int, Column(heading="FLOP")]
    bytes: int
    compute_time_s: Annotated[float | None, Column(heading="compute")]
    memory_time_s: Annotated[float | None, Column(heading="memory")]
    temp_bytes: int | None
    compile_s: float | None
    latency_s: Annotated[float | None, Column(heading="latency")] = None
    interval_s: tuple[float, float] | None = None
    layers: tuple[RungLayer, ...]
    kernels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one kind of fusion brought.

    Attributes:
        name: ``library fusion``, ``loop fusion`` or ``all fusion``.
        before, after: Names of the rungs without and with it.
        verdict: ``helps``, ``hurts``, ``no difference``, ``NOISY``, or ``same program``; None
            where nothing was measured.
        comparison: The rung without against the one with it; None where they are the same, or
            where nothing was measured.
        saved_bytes: Bytes that it keeps out of memory.
        saved_launches: Launches that it saves.
    """

    name: str
    before: str
    after: str
    verdict: str | None
    comparison: TimingComparison | None
    saved_bytes: int
    saved_launches: int

    @property
    def sentence(self) -> str:
        """Describe in one line what it brought."""
        moved = f"{si(abs(self.saved_bytes), 'B')} {'fewer' if self.saved_bytes >= 0 else 'more'}"
        if self.verdict == SAME:
            return f"{self.name}: same program, XLA found nothing to fuse this way"
        count = abs(self.saved_launches)
        fewer = "fewer" if self.saved_launches >= 0 else "more"
        saved = f"{moved} moved, {count} launch{'es' * (count != 1)} {fewer}"
        if self.comparison is None:
            return f"{self.name}: {saved}"
        found = self.comparison
        low, high = found.interval
        if self.verdict == NOISY:
            return f"{self.name}: {saved}; NOISY, so nothing is said of time: {found.reasons[0]}"
        return (
            f"{self.name} {'makes ' if self.verdict == NO_DIFFERENCE else ''}{self.verdict}:"
            f" {seconds(found.second_s)} with, {seconds(found.first_s)} without, ratio"
            f" {found.ratio:.2f} (95 % {low:.2f} to {high:.2f}); {saved}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionEffect:
    """One fusion of one rung, against its operations one by one.

    Attributes:
        rung: Name of the rung.
        name: Name of the kernel.
        kind: ``library`` or ``loop``.
        layers: Layers that it spans.
        ops: Operations inside.
        executions: How often it runs in a call; None if unknown, then it counts once.
        border_bytes: Bytes that it reads and writes.
        own_bytes: Bytes that its operations would move one by one.
        flops: FLOPs and transcendentals of what it computes.
        recomputed_flops: The part of them that is done more often than in the unfused program: an
            operation that several fusions each compute for themselves.
        time_s: Time of the kernel.
        unfused_time_s: Time of the same operations in the program without fusion; None where
            they cannot be found there.
        time_source: ``measured`` if both times are, inside the running programs, else
            ``estimated`` (at the roof); None without times.
        verdict: ``helps``, ``hurts``, ``no difference`` or ``NOISY``, by the measured times and
            how far the traced calls scatter; None where they were not both measured.
    """

    rung: str
    name: Annotated[str, Column(heading="fusion")]
    kind: str
    layers: tuple[str, ...]
    ops: Annotated[int, COUNT]
    executions: int | None
    border_bytes: Annotated[int, Column(heading="bytes")]
    own_bytes: Annotated[int, Column(heading="alone")]
    flops: int
    recomputed_flops: Annotated[int, Column(heading="redone", unit="FLOP")]
    time_s: Annotated[float | None, Column(heading="time")]
    unfused_time_s: Annotated[float | None, Column(heading="alone")]
    time_source: str | None
    verdict: Annotated[str | None, Column(heading="fusion")] = None

    @property
    def saved_bytes(self) -> int:
        """Bytes that fusing keeps out of memory."""
        return self.own_bytes - self.border_bytes

    @property
    def saved_s(self) -> float | None:
        """Time that fusing saves; negative where it costs."""
        if self.time_s is None or self.unfused_time_s is None:
            return None
        return self.unfused_time_s - self.time_s


@dataclass(frozen=True, kw_only=True, repr=False)
class FusionStudy(Study):
    """One program with full fusion, without library fusion, and without any.

    Attributes:
        workload: Name of the workload.
        batch: Batch size, or None.
        target: What it was compiled for.
        device: Name of the device whose roofs were used, or None.
        environment: Where and with what it was made.
        rungs: From full fusion to none.
        steps: What library fusion, loop fusion, and both together brought.
        fusions: Every fusion of the rungs that have any, those that save most first.
    """

    FORMER_NAMES = (("kernels", "launches"), ("saved_kernels", "saved_launches"))

    workload: str
    batch: int | None
    target: str
    device: str | None
    environment: Environment
    rungs: tuple[Rung, ...]
    steps: tuple[Step, ...]
    fusions: tuple[FusionEffect, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per rung: launches, bytes, times."""
        return frame(
            self.rungs,
            {**columns_of(Rung), "latency_low_s": TIME, "latency_high_s": TIME},
            latency_low_s=[_end(rung.interval_s, 0) for rung in self.rungs],
            latency_high_s=[_end(rung.interval_s, 1) for rung in self.rungs],
        )

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per rung and layer."""
        layers = [layer for rung in self.rungs for layer in rung.layers]
        return frame(
            layers,
            {"rung": TEXT, **columns_of(RungLayer), "time_low_s": TIME, "time_high_s": TIME},
            rung=[rung.name for rung in self.rungs for _ in rung.layers],
            time_low_s=[_end(layer.interval_s, 0) for layer in layers],
            time_high_s=[_end(layer.interval_s, 1) for layer in layers],
        )

    @cached_property
    def fusions_frame(self) -> pd.DataFrame:
        """One row per fusion and rung, with what it saves."""
        fields = columns_of(FusionEffect, "rung", "name", "kind", "layers", rest=True)
        return frame(self.fusions, fields | columns_of(FusionEffect, "saved_bytes", "saved_s"))

    @property
    def verdict(self) -> str | None:
        """What all fusion together did to the latency."""
        return self.steps[-1].verdict

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the study says, a line for every kind of fusion, then what is computed twice."""
        lines = [step.sentence for step in self.steps]
        twice = [
            effect
            for effect in self.fusions
            if effect.rung == self.rungs[0].name and effect.recomputed_flops
        ]
        if twice:
            flops = sum(effect.recomputed_flops for effect in twice)
            share = flops / self.rungs[0].flops if self.rungs[0].flops else None
            said = "" if share is None else f", {percent(share)} of all"
            lines.append(
                f"recomputed: {si(flops, 'FLOP')}{said}, in"
                f" {len(twice)} fusion{'s' * (len(twice) != 1)}"
            )
        return tuple(lines)

    def layer_verdict(self, layer: str, phase: str) -> str | None:
        """Describe what fusion did to a layer compiled on its own.

        ``helps`` or ``hurts`` where the confidence intervals with full fusion and without any
        lie apart and the times by more than 1 %; None where it was not measured in both.
        """
        with_, without = (
            next((row for row in rung.layers if (row.layer, row.phase) == (layer, phase)), None)
            for rung in (self.rungs[0], self.rungs[-1])
        )
        if with_ is None or without is None or not with_.interval_s or not without.interval_s:
            return None
        if with_.verdict != OK or without.verdict != OK:
            return NOISY
        return verdict_of_intervals(
            without.time_s or 0.0, without.interval_s, with_.interval_s, words=(HELPS, HURTS)
        )

    def __repr__(self) -> str:
        """Name the program and the verdict."""
        at = "" if self.batch is None else f", batch {self.batch}"
        return f"<FusionStudy {shown(self.workload)}{at}: fusion {self.verdict or 'not measured'}>"

    def run_notes(self) -> Notes:
        """Return what the run database notes: the rung with full fusion."""
        full = next(rung for rung in self.rungs if rung.name == FULL)
        return Notes(
            workload=self.workload,
            batch=self.batch,
            target=self.target,
            options=full.options,
            environment=self.environment,
            metrics=numbers((name, getattr(full, name)) for name in _NOTED),
        )


in_document(FusionStudy, more=["verdict", "conclusions"])


def _end(interval_s: tuple[float, float] | None, number: int) -> float | None:
    return None if interval_s is None else interval_s[number]
