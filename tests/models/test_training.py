"""The train steps: forward, backward, update."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from models.cnn import small_cnn_train
from models.network import Flavor, Optimizer
from models.published import Published
from tests.models.macs import products
from tests.models.zoo import TRAINED, build, count


@pytest.mark.parametrize("network", TRAINED, ids=lambda network: network.spec)
def test_a_train_step_costs_three_forward_passes_but_for_the_images_gradient(
    network: Published,
) -> None:
    forward = [product.valid_tap_macs for product in products(build(network.spec))]
    step = products(build(f"{network.spec}_train"))
    # Backward, each product gives two: the weight's gradient and the input's. Nothing asks for
    # the gradient of the images.
    assert sum(p.valid_tap_macs for p in step) == 3 * sum(forward) - forward[0]


@pytest.mark.parametrize("network", TRAINED, ids=lambda network: network.spec)
def test_a_train_step_gives_back_what_it_takes(network: Published) -> None:
    call = build(f"{network.spec}_train", optimizer="adamw", dtype="bfloat16").call(4)
    _, _, opt_state, images, labels = call.abstract
    assert (images.shape, images.dtype.name) == ((4, *network.input_shape), "bfloat16")
    assert labels.shape == (4,)
    after = jax.eval_shape(call.function, *call.abstract)
    assert jax.tree.map(shape_and_dtype, after[:3]) == jax.tree.map(
        shape_and_dtype, call.abstract[:3]
    )
    assert after[3].shape == ()
    assert count(opt_state) == 2 * network.params + 1  # two moments, and the step's number


def shape_and_dtype(leaf: Any) -> tuple[Any, ...]:
    return leaf.shape, leaf.dtype


@pytest.mark.parametrize(("optimizer", "moments"), [("sgd", 0), ("momentum", 1)])
def test_what_an_optimizer_remembers(optimizer: str, moments: int) -> None:
    call = build("models.mlp:mlp_train", optimizer=optimizer).call(4)
    assert count(call.abstract[2]) == moments * count(call.abstract[0])


@pytest.mark.parametrize(
    ("optimizer", "flavor"), [("sgd", "nnx"), ("momentum", "linen"), ("adamw", "nnx")]
)
def test_training_lowers_the_loss(optimizer: Optimizer, flavor: Flavor) -> None:
    call = small_cnn_train(optimizer, flavor).call(8)
    params, state, opt_state, images, labels = call.concrete()
    step = jax.jit(call.function)
    losses = []
    for _ in range(10):
        params, state, opt_state, loss = step(params, state, opt_state, images, labels)
        losses.append(float(loss))
    assert np.all(np.isfinite(losses))
    assert losses[-1] < losses[0]
