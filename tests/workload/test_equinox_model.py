"""Equinox modules as workloads."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import edgegraph as eg
from edgegraph.workload.equinox_model import equinox_model, is_equinox


def test_nothing_else_is_taken_for_a_module() -> None:
    assert not is_equinox(optax.adam(1e-3))
    assert not is_equinox(object)


@pytest.fixture
def equinox() -> Any:
    return pytest.importorskip("equinox")


@pytest.mark.slow
def test_a_module_runs_over_a_batch(equinox: Any) -> None:
    model = equinox.nn.MLP(6, 3, 8, 1, key=jax.random.key(0))
    workload = eg.Workload.from_equinox(model, (6,), name="small")
    call = workload.call(4)
    params, state, x = call.concrete()
    assert state == {}
    expected = jax.vmap(model)(x)
    np.testing.assert_array_equal(call.function(params, state, x), expected)
    totals = eg.analyze(workload, batch=4).totals
    assert (totals.params, totals.macs) == (6 * 8 + 8 + 8 * 3 + 3, 4 * (6 * 8 + 8 * 3))


@pytest.mark.slow
def test_weights_need_not_be_made(equinox: Any) -> None:
    model = equinox.filter_eval_shape(lambda: equinox.nn.Linear(6, 3, key=jax.random.key(0)))
    call = eg.Workload.from_equinox(model, (6,)).call(2)
    assert call.abstract[0].weight.shape == (3, 6)
    assert call.concrete()[0].weight.shape == (3, 6)


@pytest.mark.slow
def test_training_draws_for_dropout(equinox: Any) -> None:
    keys = jax.random.split(jax.random.key(0))
    model = equinox.nn.Sequential([equinox.nn.Linear(6, 3, key=keys[0]), equinox.nn.Dropout(0.5)])
    workload = eg.Workload.train_step(model, optax.sgd(0.1), input_shape=(6,), loss="mse")
    call = workload.call(4)
    args = call.concrete()
    _, state, _, loss = call.function(*args)
    assert jnp.isfinite(loss)
    assert (jax.random.key_data(state["rngs"]) != jax.random.key_data(args[1]["rngs"])).any()
    layers = set(eg.analyze(workload, batch=4, stage="lowered").layers.phase)
    assert layers == {"forward", "backward", "update"}


@pytest.mark.slow
def test_refusals(equinox: Any) -> None:
    model = equinox.nn.Linear(6, 3, key=jax.random.key(0))
    with pytest.raises(eg.EdgeGraphError, match="Linear has no method 'encode'"):
        eg.Workload.from_equinox(model, (6,), method="encode")
    with pytest.raises(eg.EdgeGraphError, match="takes a state"):
        equinox_model(equinox.nn.BatchNorm(3, "batch", mode="batch"), seed=0)
