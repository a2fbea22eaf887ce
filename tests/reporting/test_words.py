"""The sentences that presenters share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgegraph.reporting.words import (
    conditions,
    measurement_line,
    plural,
    provenance,
)
from edgegraph.results.files import load
from tests import analyses


def test_conditions_are_named_with_their_figures() -> None:
    found = analyses.under_conditions()
    said = dict(conditions(found))
    assert said == {
        "cold caches on 2 cores": "5 ms median (4.85 to 5.15 ms), p90 5.5 ms, n=100, OK",
        "warm caches on 1 core": "7 ms median (6.79 to 7.21 ms), p90 7.7 ms, n=100, NOISY",
        "throughput": "12.5 k samples/s with 8 calls in flight, OK"
        " (by calls in flight: 10 k at 1, 12.5 k at 8)",
    }
    assert set(said.items()) <= set(provenance(found))
    assert dict(provenance(found))["other processes"] == "2 % of the cores' time"
    assert {f"{name}: {text}" for name, text in said.items()} <= set(measurement_line(found))
    assert not list(conditions(analyses.small_cnn()))


def test_a_program_without_batch_makes_calls() -> None:
    found = replace(
        analyses.under_conditions(),
        throughputs=(replace(analyses.throughput(1, 50.0), batch=None),),
    )
    assert dict(conditions(found))["throughput"].startswith("50 calls/s with 1 call in flight")


def test_conditions_are_kept_in_the_file(tmp_path: Path) -> None:
    found = analyses.under_conditions()
    assert load(found.save(tmp_path / "found.edgegraph")) == found


def test_things_are_counted() -> None:
    assert (plural(1, "core"), plural(4, "core")) == ("1 core", "4 cores")


def test_a_threads_wake_up_is_told_where_it_is_felt() -> None:
    analysis = analyses.measured(analyses.small_cnn(1))
    assert analysis.latency is not None
    for dispatch_s, synchronous, told in (
        (1e-3, False, True),
        (1e-3, True, False),
        (1e-6, False, False),
    ):
        latency = replace(analysis.latency, dispatch_s=dispatch_s, synchronous=synchronous)
        lines = measurement_line(replace(analysis, latency=latency))
        assert any("jax_cpu_enable_async_dispatch" in line for line in lines) is told
        names = [name for name, _ in provenance(replace(analysis, latency=latency))]
        assert ("another thread" in names) is told
