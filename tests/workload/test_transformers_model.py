"""Flax models of transformers as workloads."""

from __future__ import annotations

from typing import Any

import numpy as np
import optax
import pytest

import edgegraph as eg
from edgegraph.workload.transformers_model import is_transformers


def test_nothing_else_is_taken_for_a_model() -> None:
    assert not is_transformers(optax.adam(1e-3))


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers")


SIZES = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "vocab_size": 50, "num_labels": 3,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("made", [True, False])
def test_a_model_runs_and_trains(transformers: Any, made: bool) -> None:
    config = transformers.BertConfig(**SIZES)
    model = transformers.FlaxBertForSequenceClassification(config, _do_init=made)
    workload = eg.Workload.from_transformers(model, length=8)
    call = workload.call(2)
    params, state, tokens = call.concrete()
    assert tokens.max() > 2
    logits = call.function(params, state, tokens)["logits"]
    np.testing.assert_array_equal(logits, model(tokens, params=params).logits)
    step = eg.Workload.train_step(model, optax.sgd(0.1), input_shape=(8,), dtype="int32")
    rows = eg.analyze(step, batch=2, stage="lowered").layers
    assert {"forward", "backward", "update"} == set(rows.phase)


@pytest.mark.slow
def test_another_method_is_refused(transformers: Any) -> None:
    model = transformers.FlaxBertModel(transformers.BertConfig(**SIZES), _do_init=False)
    with pytest.raises(eg.EdgeGraphError, match="is called as a whole"):
        eg.Workload.from_transformers(model, length=8, method="generate")
