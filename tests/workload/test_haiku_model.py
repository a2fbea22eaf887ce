"""What Haiku has transformed as workloads."""

from __future__ import annotations

from typing import Any

import numpy as np
import optax
import pytest

import edgegraph as eg
from edgegraph.workload.haiku_model import is_haiku


def test_nothing_else_is_taken_for_transformed() -> None:
    assert not is_haiku(optax.adam(1e-3))  # a pair of functions, too


@pytest.fixture
def haiku() -> Any:
    return pytest.importorskip("haiku")


@pytest.mark.slow
@pytest.mark.parametrize("draws", [True, False])
def test_a_function_runs_with_and_without_random_numbers(haiku: Any, draws: bool) -> None:
    net = haiku.transform(lambda x: haiku.nets.MLP([8, 3])(x))
    net = net if draws else haiku.without_apply_rng(net)
    workload = eg.Workload.from_haiku(net, (6,), name="small")
    call = workload.call(4)
    params, state, x = call.concrete()
    expected = net.apply(params, *([None] if draws else []), x)
    np.testing.assert_array_equal(call.function(params, state, x), expected)
    totals = eg.analyze(workload, batch=4).totals
    assert (totals.params, totals.macs) == (6 * 8 + 8 + 8 * 3 + 3, 4 * (6 * 8 + 8 * 3))


@pytest.mark.slow
def test_training_changes_statistics(haiku: Any) -> None:
    def function(x: Any, is_training: bool) -> Any:
        x = haiku.BatchNorm(True, True, 0.9)(haiku.Linear(3)(x), is_training)
        return haiku.dropout(haiku.next_rng_key(), 0.5, x) if is_training else x

    net, kwargs = haiku.transform_with_state(function), {"is_training": False}
    workload = eg.Workload.train_step(
        net, optax.sgd(0.1), input_shape=(6,), loss="mse", kwargs=kwargs
    )
    call = workload.call(4)
    args = call.concrete()
    _, state, *_ = call.function(*args)
    before, after = (each["state"]["batch_norm/~/mean_ema"]["counter"] for each in (args[1], state))
    assert after == before + 1
    rows = eg.analyze(workload, batch=4, stage="lowered").layers
    assert {("linear", "backward"), ("batch_norm", "forward"), ("optimizer", "update")} <= set(
        zip(rows.layer, rows.phase, strict=True)
    )
    inference = eg.Workload.from_haiku(net, (6,), kwargs=kwargs).call(4)
    assert inference.function(*inference.concrete()).shape == (4, 3)
    assert inference.abstract[1].keys() == args[1].keys()
