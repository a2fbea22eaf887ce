"""One real overlap study of a small program."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import edgegraph as eg
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.timing import Throughput
from edgegraph.studies.overlap import run as study
from tests import analyses
from tests.studies.sweeps import throughput

BRIEF = MeasurementSettings(
    warm_up_calls=1, warm_up_s=0.0, minimum_samples=3, minimum_s=0.0, limit_s=2.0
)


def workload() -> eg.Workload:
    def forward(w: jax.Array, x: jax.Array) -> jax.Array:
        with jax.named_scope("Net"), jax.named_scope("dense"):
            return jnp.tanh(x @ w)

    made = eg.Workload.from_function(
        forward,
        lambda batch: (
            jax.ShapeDtypeStruct((512, 512), "float32"),
            jax.ShapeDtypeStruct((batch, 512), "float32"),
        ),
        name="dense",
    )
    return replace(made, prepare=lambda batch, step: [np.full((batch, 512), step, np.float32)])


@pytest.fixture
def no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no throughput, which takes a process of its own and has tests of its own."""

    def measured(*_: Any, **__: Any) -> tuple[Throughput, ...]:
        return (throughput(8, 100.0),)

    monkeypatch.setattr(study, "measure_throughput", measured)


@pytest.mark.usefixtures("no_other_process")
def test_a_real_study_has_all_its_parts() -> None:
    found = eg.overlap_study(workload(), batch=64, device=analyses.DEVICE, settings=BRIEF)
    assert found.whole is not None
    # 2 x 64 x 512 x 512 FLOPs at 100 GFLOP/s.
    (layer,) = [row for row in found.layers if row.layer == "Net/dense"]
    assert layer.compute_time_s == pytest.approx(33_554_432 / 100e9)
    assert found.host_input is not None
    assert found.host_input.serial_s > 0
    assert found.schedule is not None
    assert found.schedule.critical_path_s <= found.schedule.compute_s
    json.dumps(found.document)
