"""An analysis that is there at once, so that the commands are tested without waiting."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import pytest

import edgegraph as eg
from edgegraph.results.analysis import Analysis, Finding
from edgegraph.results.timing import Latency
from tests import analyses

FINDING = Finding(
    rule="made-up",
    layer="dense",
    seen="seen",
    why="why",
    try_next="try",
    numbers={"ratio": 2.0},
    certainty="high",
    weight=0.5,
)


def make_latency(verdict: str = "OK") -> Latency:
    reasons = () if verdict == "OK" else ("interquartile range 40%",)
    return replace(analyses.latency(1e-3, verdict=verdict), reasons=reasons)


@cache
def dense() -> Analysis:
    """Return a dense layer, 3136 to 256, at batch 32, before optimisation and on no device."""

    def function(x: jax.Array, w: jax.Array) -> jax.Array:
        with jax.named_scope("dense"):
            return x @ w

    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((32, 3136), (3136, 256))]
    analysis = eg.analyze(function, args=shapes, name="dense", stage="lowered")
    totals = replace(analysis.totals, xla_bytes=None)
    return replace(analysis, totals=totals, findings=(FINDING,))


def make_analysis(
    workload: str = "dense", batch: int | None = 32, latency: Latency | None = None
) -> Analysis:
    return replace(dense(), workload=workload, batch=batch, latency=latency)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Make every SPEC resolve and every analysis succeed at once; return what was asked for."""
    calls: list[dict[str, Any]] = []
    dense()  # made before analyze is replaced

    def resolve(spec: str, **values: Any) -> str:
        calls.append({"spec": spec, **values})
        return spec

    def analyze(subject: Any, **values: Any) -> Analysis:
        calls.append(values)
        latency = make_latency() if values.get("measure") else None
        return make_analysis(batch=values.get("batch"), latency=latency)

    monkeypatch.setattr("edgegraph.workload.spec.resolve_spec", resolve)
    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", analyze)
    monkeypatch.setattr("edgegraph.xla.set_synchronous_dispatch", lambda: None)
    return calls


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write pages that hold the workloads' names only."""

    def write_page(analyses: list[Analysis], path: Any) -> None:
        path.write_text(" ".join(f"{a.workload}@{a.batch}" for a in analyses))

    monkeypatch.setattr("edgegraph.reporting.page.report", write_page)
