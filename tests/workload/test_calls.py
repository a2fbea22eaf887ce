"""`Workload.train_step`: forward, backward and update in one function."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from edgegraph.errors import InputError
from edgegraph.workload import Workload
from edgegraph.workload.calls import cross_entropy
from tests.workload.nets import (
    INPUT_SHAPE,
    Classifier,
    Dropper,
    LinenClassifier,
    LinenDropper,
    shapes,
)


@pytest.mark.parametrize("module", [linen.Dense(1), nnx.Linear(3, 1, rngs=nnx.Rngs(0))])
def test_one_step_of_linear_regression(module: Any) -> None:
    rate = 0.1
    workload = Workload.train_step(module, optax.sgd(rate), input_shape=(3,), loss="mse")
    call = workload.call(4)
    params, state, opt_state, inputs, labels = call.concrete()
    assert labels.shape == (4, 1)
    after, _, _, loss = jax.jit(call.function)(params, state, opt_state, inputs, labels)

    x, y = np.asarray(inputs), np.asarray(labels)
    kernel, bias = np.asarray(params["kernel"]), np.asarray(params["bias"])
    error = x @ kernel + bias - y
    np.testing.assert_allclose(loss, np.mean(error**2), rtol=1e-5)
    np.testing.assert_allclose(
        after["kernel"], kernel - rate * 2 * x.T @ error / 4, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(after["bias"], bias - rate * 2 * error.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", [Classifier, LinenClassifier(), Dropper, LinenDropper()])
def test_a_step_gives_back_what_it_takes(module: Any) -> None:
    shape = (8,) if module is Dropper or isinstance(module, LinenDropper) else INPUT_SHAPE
    call = Workload.train_step(module, optax.adam(1e-3), input_shape=shape).call(6)
    arguments = call.concrete()
    assert shapes(arguments) == shapes(call.abstract)
    outputs = jax.eval_shape(call.function, *call.abstract)
    assert shapes(outputs[:3]) == shapes(call.abstract[:3])
    assert outputs[3].shape == ()


def test_linen_and_nnx_take_the_same_step() -> None:
    after = []
    arguments: Any = None
    for module in (LinenClassifier(), Classifier):
        call = Workload.train_step(
            module, optax.sgd(0.1, momentum=0.9), input_shape=INPUT_SHAPE
        ).call(8)
        params, state, opt_state, *rest = call.concrete()
        arguments = arguments or params
        params, state, _, loss = jax.jit(call.function)(arguments, state, opt_state, *rest)
        after.append((params, state.get("batch_stats", state), loss))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), after[0], after[1]
    )
    assert not np.array_equal(after[0][1]["blocks_0"]["norm"]["mean"], np.zeros(36))


@pytest.mark.parametrize("module", [Dropper, LinenDropper()])
def test_dropout_drops_and_draws_anew(module: Any) -> None:
    def number_of_zeros(outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.sum(outputs == 0.0) + 0.0 * jnp.sum(outputs)

    call = Workload.train_step(module, optax.sgd(0.0), input_shape=(8,), loss=number_of_zeros).call(
        512
    )
    step = jax.jit(call.function)
    params, state, opt_state, inputs, labels = call.concrete()
    drawn = []
    for _ in range(2):
        params, state, opt_state, zeros = step(params, state, opt_state, inputs, labels)
        drawn.append(float(zeros))
    # 4096 draws with probability 1/2: 2048 expected, standard deviation 32.
    assert all(abs(zeros - 2048) < 6 * 32 for zeros in drawn)
    assert drawn[0] != drawn[1]


def test_training_lowers_the_loss() -> None:
    call = Workload.train_step(Classifier, optax.adam(1e-2), input_shape=INPUT_SHAPE).call(8)
    params, state, opt_state, inputs, labels = call.concrete()
    step = jax.jit(call.function)
    losses = []
    for _ in range(20):
        params, state, opt_state, loss = step(params, state, opt_state, inputs, labels)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2


def test_labels_follow_the_outputs() -> None:
    def labels_of(**settings: Any) -> Any:
        workload = Workload.train_step(
            linen.Dense(10), optax.sgd(0.1), input_shape=(12, 4), **settings
        )
        *_, labels = workload.call(32).concrete()
        return labels

    classes = labels_of()
    assert (classes.shape, classes.dtype) == ((32, 12), jnp.int32)
    assert set(np.unique(classes)) == set(range(10))
    assert labels_of(loss="mse").shape == (32, 12, 10)
    assert labels_of(loss="mse").dtype == jnp.float32
    other = labels_of(loss=lambda y, t: y.sum(), label_shape=(5,), label_dtype="int8")
    assert (other.shape, other.dtype) == ((32, 5), jnp.int8)
    assert set(np.unique(other)) == {0, 1}  # in range of whatever they stand for


def test_labels_are_drawn_apart_from_the_inputs() -> None:
    call = Workload.train_step(linen.Dense(3), optax.sgd(0.1), input_shape=(3,), loss="mse").call(4)
    *_, inputs, labels = call.concrete()
    assert inputs.shape == labels.shape == (4, 3)
    assert not np.allclose(inputs, labels)


def test_cross_entropy_of_even_odds_is_the_logarithm_of_the_number_of_classes() -> None:
    loss = cross_entropy(jnp.zeros((6, 4), jnp.bfloat16), jnp.arange(6) % 4)
    assert loss.dtype == jnp.float32
    assert float(loss) == pytest.approx(np.log(4))
    # One class is e times as likely as each of three others: -log(e / (e + 3)).
    loss = cross_entropy(jnp.asarray([[1.0, 0.0, 0.0, 0.0]]), jnp.asarray([0]))
    assert float(loss) == pytest.approx(-math.log(math.e / (math.e + 3)))


def test_several_inputs_come_as_a_tuple() -> None:
    class Sum(linen.Module):
        @linen.compact
        def __call__(self, a: jax.Array, b: jax.Array) -> jax.Array:
            return linen.Dense(3)(a + b)

    call = Workload.train_step(Sum(), optax.sgd(0.1), input_shape=[(4,), (4,)]).call(2)
    assert [x.shape for x in call.abstract[3]] == [(2, 4), (2, 4)]
    jax.eval_shape(call.function, *call.abstract)


def test_scopes_of_loss_and_optimizer() -> None:
    call = Workload.train_step(Classifier, optax.sgd(0.1), input_shape=INPUT_SHAPE).call(2)
    jaxpr = jax.jit(call.function).trace(*call.abstract).jaxpr
    scopes = {str(equation.source_info.name_stack) for equation in jaxpr.eqns}
    assert {"jvp(loss)", "transpose(jvp(loss))", "optimizer"} <= scopes


def test_names() -> None:
    workload = Workload.train_step(Classifier, optax.sgd(0.1), input_shape=INPUT_SHAPE)
    assert workload.name == "Classifier_train_step"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adam"}, "optimizer 'adam' is not an optax gradient transformation"),
        (
            {"loss": "hinge"},
            "loss 'hinge' is unknown; expected 'cross_entropy', 'mse' or a function",
        ),
        ({"input_shape": (0,)}, "is not a shape"),
        ({"label_shape": (0,), "loss": "mse"}, "is not a shape"),
        ({"label_dtype": "int99", "loss": "mse"}, "dtype 'int99' is not a dtype"),
    ],
)
def test_what_cannot_be_used_is_refused(settings: dict[str, Any], message: str) -> None:
    given = {"optimizer": optax.sgd(0.1), "input_shape": (4,)} | settings
    with pytest.raises(InputError, match=message):
        Workload.train_step(linen.Dense(3), **given).call(1)


def test_cross_entropy_needs_logits() -> None:
    class Scalar(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return linen.Dense(1)(x)[:, 0]

    with pytest.raises(InputError, match=r"needs a model that returns one array of logits"):
        Workload.train_step(Scalar(), optax.sgd(0.1), input_shape=(4,)).call(1)
