"""Scaling studies written by hand."""

from __future__ import annotations

from edgegraph.device.catalogue import find_device
from edgegraph.measure.environment import environment
from edgegraph.studies.scaling.result import CollectiveUse, Scaling, ScalingPoint


def point(
    chips: int, step_s: float | None, network_s: float | None, **more: object
) -> ScalingPoint:
    sent = CollectiveUse(
        opcode="all-reduce", count=1, wire_bytes=1000, network_time_s=network_s, exposed_s=network_s
    )
    known: dict[str, object] = {
        "scaling": "weak", "data": chips, "tensor": 1, "batch": 10 * chips, "target": "tpu:v5e",
        "compute_time_s": 1e-3, "memory_time_s": 5e-4, "network_time_s": network_s,
        "step_s": step_s, "bound": "network" if (network_s or 0.0) > 1e-3 else "compute",
        "collectives": () if network_s is None else (sent,),
    }  # fmt: skip
    return ScalingPoint(**{**known, **more})  # type: ignore[arg-type]


def scaling(*points: ScalingPoint) -> Scaling:
    return Scaling(
        workload="net", target="tpu:v5e", device=find_device("tpu:v5e"), environment=environment(),
        points=points,
    )  # fmt: skip


MADE = scaling(
    point(1, 1e-3, None), point(4, 1.25e-3, 2.5e-4), point(16, 4e-3, 3e-3),
    point(64, None, None, error="out of memory"),
)  # fmt: skip


FAILED = MADE.points[3]
