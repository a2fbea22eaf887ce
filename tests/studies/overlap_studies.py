"""Overlap studies written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgegraph.measure.environment import environment
from edgegraph.results.timing import InputOverlap
from edgegraph.studies.overlap.result import Bracket, OverlapStudy
from tests import analyses
from tests.studies.sweeps import throughput


def bracket(time_s: float, *, noise: float = 0.02, layer: str | None = "Net/dense") -> Bracket:
    """Bracket a layer of 3 s of arithmetic and 2 s of data: from 3 s to 5 s."""
    return Bracket(
        layer=layer, phase=None if layer is None else "forward", time_s=time_s,
        compute_time_s=3.0, memory_time_s=2.0, noise=noise,
    )  # fmt: skip


def made(**changes: Any) -> OverlapStudy:
    found = OverlapStudy(
        workload="net", batch=8, target="cpu", device="a round machine",
        environment=environment(), latency=analyses.latency(5.0),
        throughputs=(throughput(8, 1.6), throughput(8, 2.0, depth=8)),
        whole=bracket(4.0, layer=None), layers=(bracket(6.0),), schedule=None,
        host_input=InputOverlap(
            steps=16, prepare_s=1.0, transfer_s=1.0, step_s=5.0, serial_s=7.0, overlapped_s=5.5,
            verdict="OK",
        ),
    )  # fmt: skip
    return replace(found, **changes)
