"""A regression study made by hand, for what shows one."""

from __future__ import annotations

from typing import Any

from edgegraph.measure.environment import environment
from edgegraph.results.timing import ProcessTimes
from edgegraph.studies.regress.result import (
    XLA,
    Case,
    LayerShift,
    OpShift,
    Probe,
    Regression,
    Setting,
    VersionRow,
)
from edgegraph.studies.regress.turns import concluded


def seen(ratio: float) -> ProcessTimes:
    return ProcessTimes(
        first_s=1e-3, second_s=ratio * 1e-3, control_s=1e-3, ratio=ratio, control_ratio=1.0,
        pairs=20, others_share=None,
    )  # fmt: skip


def regression() -> Regression:
    """Three versions of which the third is twice as slow, by XLA's change, and one that fails."""
    timing = concluded(("0.10.0", "0.10.2"), [seen(2.0), seen(2.02), seen(1.98)])
    same = concluded(("0.10.0", "0.10.1"), [seen(1.0), seen(1.001), seen(0.999)])
    figures: dict[str, Any] = {
        "python": "3.11.7",
        "compile_s": 0.1,
        "kernels": 2,
        "flops": 1000,
        "bytes": 400,
    }
    return Regression(
        workload="net",
        batch=8,
        target="cpu",
        environment=environment(),
        versions=(
            VersionRow(version="0.10.0", packages={"jaxlib": "0.10.0"}, optimized="a", **figures),
            VersionRow(version="0.10.1", optimized="a", timing=same, **figures),
            VersionRow(version="0.10.2", optimized="b", timing=timing, **figures),
            VersionRow(version="0.99", error="jax==0.99 was not installed"),
        ),
        before="0.10.1",
        after="0.10.2",
        timing=timing,
        same_program=False,
        probes=(Probe(version="0.10.2", changed=True, why="slower"),),
        began="0.10.2",
        whose=XLA,
        settings=(
            Setting(kind="package", name="jax", before="0.10.1", after="0.10.2"),
            Setting(kind="flag", name="xla_cpu_new", before="false", after="true"),
        ),
        layers=(
            LayerShift(
                layer="Net/Dense_0", phase="forward", change="changed", whose=XLA, before_s=1e-4,
                after_s=1.1e-3, ratio=11.0, interval=(10.0, 12.0), control_interval=(0.9, 1.1),
                verdict="slower", what=("fusions 1 → 2",),
            ),
        ),
        ops=(
            OpShift(
                layer="Net/Dense_0", before="fusion f32[8]", after="dot f32[8]", before_s=1e-4,
                after_s=1.1e-3,
            ),
        ),
        case=Case(
            layer="Net/Dense_0", what="dot_general", script="import jax\n", hlo="HloModule a\n",
            optimized_before="HloModule b\n", optimized_after="HloModule c\n", timing=timing,
        ),
        notes=("other processes took 50% of the cores' time meanwhile",),
    )  # fmt: skip
