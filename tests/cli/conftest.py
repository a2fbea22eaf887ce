"""A made-up analysis, so that the commands are tested without compiling anything."""

from __future__ import annotations

from typing import Any

import pytest

from edgegraph.results.analysis import (
    Analysis,
    Environment,
    Finding,
    LayerRecord,
    MemoryUse,
    Totals,
)
from edgegraph.results.latency import Latency

COSTS: dict[str, Any] = {
    "macs": 25_690_112,
    "flops": 51_380_224,
    "transcendentals": 0,
    "bytes_read": 3_612_672,
    "bytes_written": 32_768,
    "compute_time_s": None,
    "memory_time_s": None,
    "bound": None,
}


def make_latency(verdict: str = "OK") -> Latency:
    return Latency(
        median_s=1e-3,
        p90_s=1.1e-3,
        p99_s=None,
        min_s=0.9e-3,
        mad_s=1e-5,
        relative_iqr=0.02,
        drift=0.0,
        samples=100,
        outliers=0,
        stopped_by="stable",
        first_call_s=5e-3,
        dispatch_s=1e-5,
        verdict=verdict,
        samples_s=(1e-3,) * 100,
        reasons=() if verdict == "OK" else ("interquartile range 40%",),
    )


def make_analysis(
    workload: str = "dense", batch: int | None = 32, latency: Latency | None = None
) -> Analysis:
    row = LayerRecord(
        layer="dense",
        phase="forward",
        depth=0,
        leaf=True,
        ops=1,
        params=802_816,
        param_bytes=3_211_264,
        time_s=None,
        time_source=None,
        share=None,
        efficiency=None,
        **COSTS,
    )
    totals = Totals(
        ops=1,
        params=802_816,
        param_bytes=3_211_264,
        xla_flops=51_380_224.0,
        xla_transcendentals=0.0,
        xla_bytes=float("nan"),
        intensity_flops_per_byte=14.09,
        overlapped_time_s=None,
        serial_time_s=None,
        time_s=None if latency is None else latency.median_s,
        layers_time_s=None,
        flops_coverage=1.0,
        bytes_coverage=1.0,
        lower_bound=False,
        **COSTS,
    )
    return Analysis(
        workload=workload,
        batch=batch,
        target="cpu",
        stage="optimized",
        options={},
        device=None,
        environment=Environment(
            edgegraph="0",
            jax="0",
            jaxlib="0",
            python="3",
            platform="linux",
            processor="none",
            cores=2,
            affinity=2,
            governor=None,
            load_1min=None,
            created_at="2026-01-01T00:00:00+00:00",
        ),
        op_records=(),
        layer_records=(row,),
        totals=totals,
        memory=MemoryUse(
            argument_bytes=10, output_bytes=5, temp_bytes=1, alias_bytes=2, code_bytes=0
        ),
        lower_s=0.1,
        compile_s=0.2,
        latency=latency,
        layer_latencies=(),
        findings=(
            Finding(
                rule="made-up",
                layer="dense",
                seen="seen",
                why="why",
                try_next="try",
                numbers={"ratio": 2.0},
                certainty="high",
                weight=0.5,
            ),
        ),
        unpriced={},
        serialized_module=b"",
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let every SPEC resolve, and every analysis succeed at once; lists what was asked for."""
    calls: list[dict[str, Any]] = []

    def resolve(spec: str, **values: Any) -> str:
        calls.append({"spec": spec, **values})
        return spec

    def analyze(subject: Any, **values: Any) -> Analysis:
        calls.append(values)
        latency = make_latency() if values.get("measure") else None
        return make_analysis(batch=values.get("batch"), latency=latency)

    monkeypatch.setattr("edgegraph.spec.resolve_spec", resolve)
    monkeypatch.setattr("edgegraph.analyzer.analyze", analyze)
    monkeypatch.setattr("edgegraph.xla.set_synchronous_dispatch", lambda: None)
    return calls


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write pages that hold the workloads' names only."""

    def write_page(analyses: list[Analysis], path: Any) -> None:
        path.write_text(" ".join(f"{a.workload}@{a.batch}" for a in analyses))

    monkeypatch.setattr("edgegraph.report.page.write_page", write_page)
