"""What is measured, as one object or as keywords of `analyze`."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.analysis.measurement import Measurement, MeasurementKeywords, requested_measurement
from edgegraph.errors import InputError


@pytest.mark.parametrize(
    ("measurement", "runs", "takes_trace"),
    [
        (Measurement(), True, True),
        (Measurement(trace=False), True, False),
        (Measurement(latency=False), False, False),
        (Measurement(latency=False, trace=True), True, True),
        (Measurement(latency=False, throughput=True), True, False),
        (Measurement(latency=False, cold=True), True, False),
        (Measurement(latency=False, cores=1), True, False),
    ],
)
def test_what_is_asked_says_whether_the_program_runs(
    measurement: Measurement, runs: bool, takes_trace: bool
) -> None:
    assert (measurement.runs, measurement.takes_trace) == (runs, takes_trace)


def test_keywords_mean_what_the_object_says() -> None:
    quick = eg.MeasurementSettings.quick()
    keywords: MeasurementKeywords = {"depth": 1, "cold": True, "settings": quick}
    assert requested_measurement(True, keywords) == Measurement(depth=1, cold=True, settings=quick)
    assert requested_measurement(False, {}) == Measurement(latency=False)
    given = Measurement(cores=2)
    assert requested_measurement(given, {}) is given


def test_an_object_and_keywords_are_not_taken_together() -> None:
    with pytest.raises(InputError, match="got a Measurement and cold, depth"):
        eg.analyze(jnp.sin, args=(jnp.ones(2),), measure=Measurement(), cold=True, depth=1)


def test_an_unknown_keyword_is_refused_like_one_of_any_function() -> None:
    with pytest.raises(TypeError, match=r"analyze\(\) got an unexpected keyword argument 'warm'"):
        eg.analyze(jnp.sin, args=(jnp.ones(2),), warm=True)  # type: ignore[call-arg]


def test_what_cannot_be_measured_is_refused_before_anything_is_compiled() -> None:
    with pytest.raises(InputError, match="depth 'deep' is not a depth"):
        Measurement(depth="deep")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="trace_dir='logs' keeps a trace, but none is taken"):
        Measurement(trace=False, trace_dir="logs")


def test_one_object_asks_for_everything() -> None:
    few = eg.MeasurementSettings(
        warm_up_calls=1, warm_up_s=0.0, minimum_samples=5, minimum_s=0.0, limit_s=1.0
    )
    wanted = eg.Measurement(latency=False, throughput=True, settings=few)
    found = eg.analyze(lambda x: x @ x, args=(jnp.ones((8, 8)),), measure=wanted)
    assert found.throughputs
    assert (found.latency, found.layer_latencies, found.op_trace) == (None, (), None)
