"""No program runs faster than the roofs of a calibrated device allow, beyond the noise.

What lies where is the overlap study's own verdict: a time is ``below`` its bracket where it is
under max(T_compute, T_memory) by more than its interquartile range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.device.calibration.calibrate import Plan, measure_host
from edgegraph.device.calibration.peaks import Effort
from edgegraph.device.device import Device
from edgegraph.studies.overlap.result import BELOW, WITHIN
from edgegraph.studies.overlap.run import _layers, _whole
from models.cnn import small_cnn
from tests import analyses


@pytest.fixture(scope="module")
def host() -> Device:
    """This machine's roofs for f32, without the table of single kernels."""
    plan = replace(Plan.for_this_host(), product_sizes={"f32": (512, 1024)}, kernels=False)
    return measure_host(plan, effort=Effort(full_rounds=2, minimum_rounds=3, limit_s=3.0))


def softmax() -> eg.Workload:
    """Weights, activations and transcendentals: a row of attention."""
    return eg.Workload.from_function(
        lambda x, w: jax.nn.softmax(x @ w, axis=-1) @ w.T,
        lambda batch: (jnp.ones((batch, 256)), jnp.ones((256, 1024))),
        name="softmax",
    )


def transposed() -> eg.Workload:
    """Data is moved and little else."""
    return eg.Workload.from_function(
        lambda x: jnp.transpose(x, (0, 2, 1)) + 1.0,
        lambda batch: (jnp.ones((batch, 256, 256)),),
        name="transposed",
    )


@pytest.mark.slow
@pytest.mark.parametrize("workload", [small_cnn, softmax, transposed])
def test_no_measured_time_lies_below_its_roof(
    workload: Callable[[], eg.Workload], host: Device
) -> None:
    analysis = eg.analyze(
        workload(),
        batch=8,
        measure=True,
        trace=False,
        device=host,
        settings=eg.MeasurementSettings.quick(),
    )
    assert analysis.latency is not None
    whole = _whole(analysis, analysis.latency)
    assert whole is not None
    # Where other work slowed the calibration down, its roofs are too low, and it says so.
    disturbed = "NOISY" in host.source or analysis.latency.verdict != "OK"
    assert whole.place != BELOW or disturbed, (whole, host)


def test_a_time_below_its_roof_is_found() -> None:
    analysis = analyses.small_cnn(32)
    bound_s = analysis.totals.overlapped_time_s
    assert bound_s is not None
    assert analysis.device is not None
    dispatch_s = analysis.device.dispatch_s or 0.0
    for time_s, place in ((0.9 * bound_s, BELOW), (1.001 * bound_s, WITHIN)):
        whole = _whole(analysis, analyses.latency(time_s + dispatch_s))  # 3 % of noise
        assert whole is not None
        assert whole.place == place
    fast = analyses.measured(analysis, seconds=1e-9)
    assert {bracket.place for bracket in _layers(fast)} == {BELOW}
