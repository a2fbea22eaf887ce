"""Fits written by hand."""

from __future__ import annotations

from edgegraph.device.catalogue import find_device
from edgegraph.measure.environment import environment
from edgegraph.studies.fit.result import (
    FULL,
    NO_PLAN,
    PLAN,
    Fit,
    LayerPlan,
    PlanPoint,
    Residual,
)

AGAIN = LayerPlan(
    layer="Net/block_0", count=1, checkpointed=True, kept=("dot_general.3",), kept_bytes=4096,
    working_bytes=8192, time_s=1e-5,
)  # fmt: skip
AS_IT_IS = LayerPlan(
    layer="Net/block_1", count=1, checkpointed=False, kept=(), kept_bytes=12288, working_bytes=0,
    time_s=0.0,
)  # fmt: skip

MADE = Fit(
    workload_name="net", target="tpu:v5e", limit_bytes=10**9, device=find_device("tpu:v5e"),
    environment=environment(),
    points=(
        PlanPoint(plan=NO_PLAN, batch=8, peak_bytes=2 * 10**9, time_s=1e-3),
        PlanPoint(plan=FULL, batch=8, peak_bytes=5 * 10**8, time_s=1.3e-3, fits=True,
                  layers=(AGAIN, AGAIN)),
        PlanPoint(plan=PLAN, batch=8, peak_bytes=9 * 10**8, time_s=1.1e-3, fits=True,
                  predicted_bytes=95 * 10**7, predicted_s=1.09e-3, layers=(AGAIN, AS_IT_IS)),
        PlanPoint(plan=NO_PLAN, batch=64, error="Ran out of memory on HBM"),
    ),
    residuals=(
        Residual(source="argument", dtype="float32", shape=(8, 8), bytes=256),
        Residual(layer="Net/block_0", source="dot_general", name="hidden", dtype="float32",
                 shape=(8, 32), bytes=1024, flops=4096, bytes_moved=2048, time_s=1e-6),
    ),
)  # fmt: skip
