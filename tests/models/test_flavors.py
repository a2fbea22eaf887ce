"""linen and NNX compute the same from the same weights."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import numpy as np
import pytest

from models import mobilenet, resnet
from models.network import Network
from models.published import NETWORKS, Published
from tests.models.zoo import LINEN, build, function_name

NETWORKS_IN_BOTH = [network for network in NETWORKS if function_name(network) in LINEN]


def random_like(tree: Any, seed: int) -> Any:
    """Fill a tree with values such that activations neither vanish nor overflow."""
    generator = np.random.default_rng(seed)

    def values(path: Any, leaf: Any) -> Any:
        if len(leaf.shape) > 1:
            fan_in = math.prod(leaf.shape[:-1])
            return generator.standard_normal(leaf.shape, np.float32) / np.float32(fan_in**0.5)
        if path[-1].key in ("scale", "var"):
            return generator.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return generator.normal(0, 0.1, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(values, tree)


def state_of(flavor: str, statistics: Any) -> Any:
    """linen keeps batch statistics in a collection of that name, NNX in the modules."""
    return {"batch_stats": statistics} if flavor == "linen" and statistics else statistics


@pytest.mark.parametrize("network", NETWORKS_IN_BOTH, ids=function_name)
def test_outputs_are_equal(network: Published) -> None:
    call = build(network.spec, "nnx").call(2)
    params, statistics = (random_like(tree, seed) for seed, tree in enumerate(call.abstract[:2]))
    images = np.random.default_rng(2).standard_normal((2, *network.input_shape), np.float32)
    outputs = {
        flavor: jax.jit(build(network.spec, flavor).call(2).function)(
            params, state_of(flavor, statistics), images
        )
        for flavor in ("nnx", "linen")
    }
    assert np.abs(outputs["nnx"]).max() > 0.1
    np.testing.assert_allclose(outputs["nnx"], outputs["linen"], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "fewer"),
    [
        (resnet.RESNET18, {"depths": (1, 1, 1, 1)}),
        (mobilenet.V2, {"stages": ((1, 16, 1, 1), (6, 24, 2, 2))}),
    ],
    ids=["resnet", "mobilenet"],
)
def test_train_steps_are_equal(network: Network, fewer: dict[str, Any]) -> None:
    sizes = {**network.sizes, **fewer}
    small = dataclasses.replace(network, input_shape=(32, 32, 3), sizes=sizes)
    call = small.train_step(optimizer="momentum").call(4)
    params, statistics = (random_like(tree, seed) for seed, tree in enumerate(call.abstract[:2]))
    opt_state, images, labels = call.concrete()[2:]
    results = {}
    for flavor in ("nnx", "linen"):
        step = small.train_step(optimizer="momentum", flavor=flavor).call(4).function
        state = state_of(flavor, statistics)
        after, state_after, _, loss = jax.jit(step)(params, state, opt_state, images, labels)
        statistics_after = state_after["batch_stats"] if flavor == "linen" else state_after
        results[flavor] = (after, statistics_after, loss)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        results["nnx"],
        results["linen"],
    )
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), statistics, results["nnx"][1])
    assert all(jax.tree.leaves(moved))
