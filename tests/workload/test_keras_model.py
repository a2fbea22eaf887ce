"""Keras models as workloads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import optax
import pytest

import edgegraph as eg
from edgegraph.workload.keras_model import is_keras

pytestmark = pytest.mark.filterwarnings("ignore:::(?!edgegraph)")


def test_nothing_else_is_taken_for_a_model() -> None:
    assert not is_keras(optax.adam(1e-3))


@pytest.fixture
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


@pytest.mark.slow
def test_a_model_runs_and_trains(keras: Any) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, name="head"),
        ]
    )
    workload = eg.Workload.from_keras(model)
    call = workload.call(4)
    params, state, x = call.concrete()
    assert {path.rpartition("/")[2] for path in params} == {"conv", "norm", "head"}
    np.testing.assert_allclose(call.function(params, state, x), model(x), rtol=1e-5)
    analysis = eg.analyze(workload, batch=4)
    convolution, head = 4 * 4 * 4 * 2 * 9, 4 * 4 * 4 * 3
    assert analysis.totals.macs == 4 * (convolution + head)
    assert analysis.totals.params == sum(v.value.size for v in model.trainable_variables)
    assert analysis.layers.set_index("layer").macs["conv"] == 4 * convolution

    step = eg.Workload.train_step(model, optax.sgd(0.1), input_shape=(6, 6, 2)).call(4)
    args = step.concrete()
    _, after, *_ = step.function(*args)
    norm = next(path for path in after if path.endswith("norm"))
    assert not np.array_equal(after[norm]["moving_mean"], args[1][norm]["moving_mean"])


@pytest.mark.slow
def test_refusals(keras: Any) -> None:
    with pytest.raises(eg.EdgeGraphError, match="does not say what its inputs are like"):
        eg.Workload.from_keras(keras.Sequential([keras.Input((None, 2)), keras.layers.Dense(3)]))
    with pytest.raises(eg.EdgeGraphError, match="is not built"):
        eg.Workload.from_keras(keras.Sequential([keras.layers.Dense(3)]), (4,))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(eg.EdgeGraphError, match="is called as a whole"):
        eg.Workload.from_keras(model, method="predict")
