"""Fusion studies written by hand."""

from __future__ import annotations

from dataclasses import replace

from edgegraph.measure.compare import conclude
from edgegraph.measure.environment import environment
from edgegraph.results.timing import ProcessTimes, TimingComparison
from edgegraph.studies.fusion.result import (
    FULL,
    SAME,
    VERDICTS,
    WITHOUT_ANY,
    WITHOUT_LIBRARY,
    FusionEffect,
    FusionStudy,
    Rung,
    RungLayer,
    Step,
)


def comparison(before: str, after: str, before_s: float, after_s: float) -> TimingComparison:
    """Compare two programs over five quiet processes."""
    times = [
        ProcessTimes(
            first_s=before_s * wobble, second_s=after_s * wobble, control_s=before_s * wobble,
            ratio=after_s / before_s * wobble, control_ratio=1.0, pairs=100, others_share=0.0,
        )
        for wobble in (0.999, 1.0, 1.001, 1.0, 1.0)
    ]  # fmt: skip
    return conclude((before, after), times, cores=2)


def rung(name: str, kernels: int, moved: int, latency_s: float | None) -> Rung:
    layer = RungLayer(
        layer="Net/dense",
        phase="forward",
        launches=kernels,
        bytes=moved,
        memory_time_s=moved / 1e10,
    )
    if latency_s is not None:
        around = (0.98 * latency_s, 1.02 * latency_s)
        layer = replace(layer, time_s=latency_s, interval_s=around, verdict="OK")
    return Rung(
        name=name, options={}, same_as=None, launches=kernels, kernels=kernels,
        fusions=kernels // 2, flops=278_659_392, bytes=moved, compute_time_s=0.6e-3,
        memory_time_s=moved / 1e10,
        temp_bytes=moved, compile_s=0.5, latency_s=latency_s,
        interval_s=None if latency_s is None else (0.97 * latency_s, 1.03 * latency_s),
        layers=(layer,),
    )  # fmt: skip


def effect(recomputed_flops: int = 0) -> FusionEffect:
    return FusionEffect(
        rung=FULL, name="ynn_fusion", kind="library", layers=("Net/dense", "Net/conv"), ops=22,
        executions=1, border_bytes=3_399_424, own_bytes=59_121_436, flops=278_659_072,
        recomputed_flops=recomputed_flops, time_s=0.7e-3, unfused_time_s=0.9e-3,
        time_source="estimated",
    )  # fmt: skip


def study(
    full_s: float = 3.5e-3, middle_s: float = 4.2e-3, none_s: float = 4.6e-3, *, recomputed: int = 0
) -> FusionStudy:
    """Return SmallCNN's ladder at batch 32."""
    rungs = (
        rung(FULL, 2, 3_402_024, full_s),
        rung(WITHOUT_LIBRARY, 12, 27_617_584, middle_s),
        rung(WITHOUT_ANY, 24, 59_126_596, none_s),
    )
    by_name = {one.name: one for one in rungs}
    times = {FULL: full_s, WITHOUT_LIBRARY: middle_s, WITHOUT_ANY: none_s}
    steps = []
    for name, before, after in (
        ("library fusion", WITHOUT_LIBRARY, FULL),
        ("loop fusion", WITHOUT_ANY, WITHOUT_LIBRARY),
        ("all fusion", WITHOUT_ANY, FULL),
    ):
        found = comparison(before, after, times[before], times[after])
        steps.append(
            Step(
                name=name, before=before, after=after, verdict=VERDICTS[found.verdict],
                comparison=found, saved_bytes=by_name[before].bytes - by_name[after].bytes,
                saved_launches=by_name[before].launches - by_name[after].launches,
            )
        )  # fmt: skip
    return FusionStudy(
        workload="small_cnn", batch=32, target="cpu", device="a round machine",
        environment=replace(environment(), created_at="2025-01-01T00:00:00+00:00"), rungs=rungs,
        steps=tuple(steps), fusions=(effect(recomputed),),
    )  # fmt: skip


def unmeasured() -> FusionStudy:
    """Return the ladder without times, whose two upper rungs are the same program."""
    found = study()
    rungs = tuple(replace(one, latency_s=None, interval_s=None, layers=()) for one in found.rungs)
    steps = tuple(replace(step, verdict=None, comparison=None) for step in found.steps)
    return replace(
        found,
        rungs=(rungs[0], replace(rungs[1], same_as=FULL), rungs[2]),
        steps=(replace(steps[0], verdict=SAME), *steps[1:]),
    )
